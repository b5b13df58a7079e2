// Package strictjson reads JSON that decides something (policies, configurations, requests): exactly one meaning or an error.
//
// It refuses what two readers could read differently: repeated keys, keys that differ only in case, data after the value, invalid UTF-8, lone
// surrogates; and what is too much: size, depth, number of values. Member names are matched exactly, never by folding case. Errors are
// errs.Invalid (errs.TooLarge for a bound) and name the place, never the content.
package strictjson
