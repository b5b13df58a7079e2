// Package medicalimaging is the HealthImaging service: image sets of DICOM instances behind the AWS HealthImaging API and DICOMweb.
//
// It owns the data stores, their image sets with every version of them, the instances and frames in those, and the import jobs. A data store's
// metadata lives in a record space of its own ("medical-imaging/<id>"), its pixels in blobs, both encrypted under the store's key; deleting
// the store destroys the key. What is said about stores and jobs lives in the space "medical-imaging".
//
// It promises: an instance that was acknowledged is durable, and what is retrieved are its pixels bit for bit (frames are decoded again before
// they are stored) and its data elements unchanged unless a caller changed them; instances whose study and series agree stand in one primary image
// set, those that contradict it in others; importing the same bytes twice changes nothing; each version ever acknowledged stays readable;
// what cannot be stored is refused one instance at a time, with the reason.
//
// It never reads another service's store: files come and go through the s3 contract, under the role that the caller passed.
package medicalimaging
