// Package speech turns recordings into utterances with times: the local recogniser behind healthscribe.
//
// The default is Moonshine tiny (English, 27 M parameters) on ONNX Runtime, both installed at set-up by fetch.sh and loaded at run time: the package
// builds and runs without them, and then says what to install (errs.Unavailable). Speech is found by its energy; each stretch is decoded greedily.
// Words have no times of their own: they share their utterance's in proportion to their length. Names of medicines that were heard as other words
// are put right where a dose or a cue stands beside them (Repair); what was heard is kept.
//
// It is a small recogniser for clear speech in quiet rooms. It runs in this process, one utterance at a time, on a bounded number of threads.
package speech
