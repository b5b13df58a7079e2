// Package jpeg decodes the processes of JPEG (ISO 10918-1, ITU T.81) that medical images use and image/jpeg does not: lossless (process
// 14, every predictor, 2 to 16 bits) and sequential DCT of 8 and 12 bits (processes 1, 2, 4).
//
// It gives samples as they are coded, interleaved by pixel: no colour conversion, chrominance brought to full size by repetition. Progressive,
// hierarchical and arithmetic processes are refused. Image size is bounded before anything is allocated; a stream that ends early is an error.
package jpeg
