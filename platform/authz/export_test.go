package authz

// Kept is the size of the documents that the evaluator holds parsed.
func (e *Evaluator) Kept() (bytes int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for k := range e.parsed {
		bytes += len(k.text)
	}
	return bytes
}
