// Package note writes the clinical note of a conversation: sentences of the transcript, put into the third person, sorted into the sections of a
// template, each linked to the segments that it comes from.
//
// Invariants: every sentence has evidence; every number, medicine and other word of a sentence is in its evidence or in the closed list of words
// that the rewriter may add (Added), so nothing is invented; sentences that break this are dropped. The same transcript gives the same note.
//
// Sentences are chosen by a linear model and a limit on length, sections by a second one; both were trained by the program in train/ on ACI-Bench
// (NOTICE names source and licence). A clinician's question and the patient's yes or no become one sentence with both segments as evidence.
package note
