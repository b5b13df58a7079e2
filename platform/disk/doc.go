// Package disk is the little of a file system that the engines' own on-disk protocols use, so that the same code runs on a real folder, on a
// simulated disk that loses unsynced writes, and on one that fails on request (disktest).
//
// A real folder is opened through os.Root: no name, and no link inside the folder, leads out of it. One process holds a folder at a time.
// Nothing here retries a failed sync: after one, what the kernel holds no longer says what the disk holds, and the owner must stop writing.
package disk
