// Package audio reads WAVE files as 16 kHz samples, one slice a channel, which is what speech recognisers take.
//
// It reads RIFF/WAVE with PCM of 8, 16, 24 and 32 bits and IEEE float of 32 and 64 bits, one or two channels, 8 to 192 kHz, plain or
// WAVE_FORMAT_EXTENSIBLE (Multimedia Programming Interface 1.0, IBM and Microsoft, 1991; mmreg.h). Other rates are brought to 16 kHz by a
// windowed-sinc filter while reading, so memory is bounded by the length of the recording, never by what its header claims. A data chunk that ends
// early gives what there is and an error says so; sizes of 0 and 0xFFFFFFFF, which recorders write that cannot seek, mean "to the end".
package audio
