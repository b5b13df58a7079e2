package postgres

import "time"

// SetTurnPatience changes how long a function may hold the line.
func (s *Store) SetTurnPatience(d time.Duration) { s.queue.firmness = d }
