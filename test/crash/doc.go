// Package crash kills the real binary: under mixed load through its APIs, at any step of its jobs, with a disk that fails at any system call, with bits flipped
// anywhere at rest, with clocks that jump. What each engine survives by itself is tested beside the engine; docs/reliability.md lists all of it with the counts
// of the long forms, which environment variables ask for.
package crash
