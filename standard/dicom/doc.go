// Package dicom reads and writes DICOM files (PS3.10), their data sets (PS3.5) and the DICOM JSON model (PS3.18 annex F).
//
// It knows bytes and values: implicit and explicit little endian, explicit big endian, deflated data sets, undefined lengths, nested
// sequences, private elements, every specific character set of PS3.3 C.12.1.1.2, encapsulated pixel data with basic and extended offset
// tables, frames of any bit depth, and the matching rules of PS3.4 C.2.2.2. It decodes no compressed image: package dicom/pixel does.
//
// Promises: values in memory are little endian whatever the file was; a file that lies about its lengths is an error that names the offset;
// depth, number of elements and inflated size are bounded by Limits; values longer than Limits.Inline are left in the source when it is not
// memory already, so that a file of gigabytes costs kilobytes. It never changes a value that it was not asked to change.
package dicom
