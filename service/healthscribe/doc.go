// Package healthscribe makes the transcript and the clinical note of one conversation: Amazon Transcribe's medical scribe jobs.
//
// It owns jobs as records of the space "healthscribe"; the artifacts are JSON in the caller's bucket, written under the caller's role: NAME/transcript.json and
// NAME/summary.json. Every sentence of a note names the segments that it rests on. The medium is a WAV file, which needs a recogniser, or a conversation
// that is written already (HealthScribe's or Transcribe's transcript JSON, or plain dialogue), told apart by content. Streams are not offered by this version.
// Contract: Transcribe 2017-10-26, the …MedicalScribeJob operations.
package healthscribe
