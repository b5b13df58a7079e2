// Package htj2k encodes and decodes the image compressions of DICOM that no Go library offers: HTJ2K (ISO 15444-15), JPEG 2000
// (ISO 15444-1) and JPEG-LS (ISO 14495-1).
//
// The codecs are the ones that DICOM viewers use (OpenJPH, OpenJPEG, CharLS), compiled to WebAssembly and run here without cgo. Each works in
// a sandbox of its own memory: a hostile code stream can break its sandbox, which is then thrown away, and nothing else; the
// turns of its loops are counted, so that it ends. Image size is
// read from the code stream's header and bounded before a codec sees it. What is encoded is lossless always; HTJ2K streams are
// what PS3.5 §10.18 asks of transfer syntax 1.2.840.10008.1.2.4.202: RPCL, TLM, one tile part a resolution, base of at most 64 pixels.
//
// The modules are embedded when make assets has put them into assets/; without them every call returns ErrAssets.
package htj2k
