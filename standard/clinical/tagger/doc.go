// Package tagger labels tokens with a structured perceptron: averaged weights over hashed features, decoded by Viterbi under IOB constraints.
//
// It finds chemicals and diseases. The committed model (model.bin) was trained by the program in train/ on the training and development parts
// of BC5CDR and NCBI-disease; NOTICE names the sources and their licence. Training is deterministic: the same data gives the same bytes.
// Labels come in the order O, B-x, I-x, B-y, I-y …, so an I label may only follow the B or I of its own type.
// M. Collins, Discriminative training methods for hidden Markov models (EMNLP 2002).
package tagger
