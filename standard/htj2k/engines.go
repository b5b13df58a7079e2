package htj2k

// The names in a module's import section are minified, so each pinned version has its table, read from the loader script beside it in
// its package. They change with every version.
var (
	openjph = &engine{
		file: "openjphjs.wasm", ctors: "S", classes: []string{"HTJ2KEncoder", "HTJ2KDecoder"},
		imports: map[string]string{
			"p": "___cxa_begin_catch", "o": "___cxa_end_catch", "c": "___cxa_find_matching_catch_2", "d": "___cxa_find_matching_catch_3",
			"M": "___cxa_find_matching_catch_5", "L": "___cxa_rethrow", "m": "___cxa_throw", "f": "___resumeException", "H": "__abort_js",
			"D": "__embind_finalize_value_object", "G": "__embind_register_bigint", "P": "__embind_register_bool", "C": "__embind_register_class",
			"B": "__embind_register_class_constructor", "a": "__embind_register_class_function", "N": "__embind_register_emval",
			"A": "__embind_register_float", "w": "__embind_register_function", "k": "__embind_register_integer", "e": "__embind_register_memory_view",
			"O": "__embind_register_std_string", "y": "__embind_register_std_wstring", "x": "__embind_register_value_object",
			"E": "__embind_register_value_object_field", "Q": "__embind_register_void", "K": "__emscripten_memcpy_js", "u": "__emval_take_value",
			"I": "_emscripten_resize_heap", "J": "_fd_close", "F": "_fd_seek", "z": "_fd_write", "t": "invoke_i", "b": "invoke_ii", "v": "invoke_iii",
			"n": "invoke_iiii", "i": "invoke_v", "g": "invoke_vi", "l": "invoke_vii", "q": "invoke_viii", "j": "invoke_viiii",
			"s": "invoke_viiiiii", "h": "invoke_viiiiiiiiii", "r": "_llvm_eh_typeid_for",
		},
	}
	charls = &engine{
		file: "charlswasm.wasm", ctors: "B", classes: []string{"JpegLSEncoder", "JpegLSDecoder"},
		imports: map[string]string{
			"e": "___cxa_throw", "o": "__abort_js", "l": "__embind_finalize_value_object", "n": "__embind_register_bigint",
			"t": "__embind_register_bool", "h": "__embind_register_class", "g": "__embind_register_class_constructor",
			"b": "__embind_register_class_function", "r": "__embind_register_emval", "j": "__embind_register_float", "i": "__embind_register_function",
			"c": "__embind_register_integer", "a": "__embind_register_memory_view", "s": "__embind_register_std_string",
			"f": "__embind_register_std_wstring", "m": "__embind_register_value_object", "d": "__embind_register_value_object_field",
			"u": "__embind_register_void", "q": "__emscripten_memcpy_js", "w": "__emval_call", "y": "__emval_decref", "z": "__emval_get_global",
			"x": "__emval_get_method_caller", "v": "__emval_run_destructors", "k": "__emval_take_value", "p": "_emscripten_resize_heap",
		},
	}
	openjpeg = &engine{
		file: "openjpegwasm.wasm", ctors: "H", classes: []string{"J2KEncoder", "J2KDecoder"},
		imports: map[string]string{
			"c": "___cxa_throw", "q": "__abort_js", "f": "__embind_finalize_value_object", "p": "__embind_register_bigint",
			"z": "__embind_register_bool", "k": "__embind_register_class", "j": "__embind_register_class_constructor",
			"a": "__embind_register_class_function", "x": "__embind_register_emval", "n": "__embind_register_float", "m": "__embind_register_function",
			"e": "__embind_register_integer", "b": "__embind_register_memory_view", "y": "__embind_register_std_string",
			"h": "__embind_register_std_wstring", "g": "__embind_register_value_object", "d": "__embind_register_value_object_field",
			"A": "__embind_register_void", "w": "__emscripten_memcpy_js", "C": "__emval_call", "E": "__emval_decref", "F": "__emval_get_global",
			"D": "__emval_get_method_caller", "B": "__emval_run_destructors", "i": "__emval_take_value", "s": "_emscripten_get_heap_max",
			"r": "_emscripten_resize_heap", "t": "_environ_get", "u": "_environ_sizes_get", "v": "_fd_close", "o": "_fd_seek", "l": "_fd_write",
		},
	}
)
