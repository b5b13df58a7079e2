// Package assertion says how a finding is meant: present, denied, possible, hypothetical, past, of a relative, or planned.
//
// The rules are cue phrases with a direction: a cue governs findings up to the end of its sentence, a terminating cue, or its reach. Longer cues
// win over shorter ones in them, and pseudo cues ("no increase in") block. The method is ConText (H. Harkema et al., J Biomed Inform 2009); the
// cues were written for this package.
package assertion
