// Package transcript is a conversation of clinician and patient as text: segments with roles and times, in the JSON of AWS HealthScribe.
//
// Parse takes, told apart by content: HealthScribe's transcript JSON, Amazon Transcribe's output JSON with speaker labels or channels, and plain
// dialogue with a role before each turn ("Doctor: …", "[patient] …"). It is bounded, and gives every segment an id, a role and text; roles of
// unlabelled speakers are told by how they speak. It keeps no more than that: words of a segment are not aligned to sounds here.
package transcript
