// Package matrix holds the authorization matrix: every principal of a small hospital against every operation and route that this build implements.
//
// Each cell is what the real Authorize of the service and the real evaluator say about a plausible input; testdata/matrix.txt is the reviewed picture of all
// of them, one row an operation, one column a principal. An operation without a row fails, and so does a cell that changed. What must never be allowed is
// stated apart, as rules that do not look at the picture.
package matrix
