// Package comprehendmedical is Amazon Comprehend Medical's text analysis over the embedded clinical language engine (standard/clinical/entity).
//
// It owns nothing: every answer comes from the text of its request, and no text is kept, logged or sent anywhere. Offsets are counted in characters
// (Unicode code points) from 0, the end is exclusive, so that characters [BeginOffset, EndOffset) of the input are Text. Of the contract it
// offers DetectEntitiesV2, its deprecated form DetectEntities, DetectPHI, and InferICD10CM over the code set that the set-up installs (without it:
// ServiceUnavailableException, which says what to run); ModelVersion names engine and code set. The inference of RxNorm and SNOMED CT codes and the
// batch jobs are not offered: they answer the documented error.
// Contract: ComprehendMedical 2018-10-30.
package comprehendmedical
