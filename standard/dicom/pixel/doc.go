// Package pixel turns the frames of any transfer syntax into uncompressed pixels and back: the one place that knows which codec reads
// which syntax (PS3.5 §8.2).
//
// What it decodes has the layout of an uncompressed little endian frame: samples of BitsAllocated bits, interleaved by pixel
// (PlanarConfiguration 0). A frame whose code stream disagrees with the description of the data set is refused.
package pixel
