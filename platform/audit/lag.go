package audit

// Lag is how many acknowledged entries are not in the tree yet, and how many of those in the tree look-ups read from the log itself, because the index has not taken
// them up. Both go up and down with the load; that one only grows means that the disk cannot keep up.
func (m *Merkle) Lag() (tree, index uint64) {
	m.mu.Lock()
	tree, size := uint64(len(m.waiting)), m.size
	m.mu.Unlock()
	if m.index == nil {
		return tree, 0
	}
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	return tree, size - min(size, m.index.Next*bundleSize)
}
