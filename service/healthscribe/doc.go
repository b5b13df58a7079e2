// Package healthscribe makes the transcript and the clinical note of one conversation: Amazon Transcribe's medical scribe jobs.
//
// It owns jobs as records of the space "healthscribe"; the artifacts are JSON in the caller's bucket, read and written under the caller's role:
// NAME/transcript.json and NAME/summary.json. Every sentence of a note names the segments that it rests on. The medium is told apart by content: a WAV
// file (16 kHz or more, at most two hours), which the local recogniser listens to, or a conversation that is written already (HealthScribe's or
// Transcribe's transcript JSON, or plain dialogue with a role before each turn). Two channels with ChannelIdentification give exact roles; with
// ShowSpeakerLabels roles are told from what is said, because voices are not told apart. Artifact URIs are s3:// URIs.
//
// A job ends as COMPLETED with both artifacts or as FAILED with a reason. The written transcript is its checkpoint: a job that was cut off goes on from
// it. Streams and custom vocabularies are not offered by this version. Contract: Transcribe 2017-10-26, the …MedicalScribeJob operations.
package healthscribe
