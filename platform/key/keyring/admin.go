package keyring

import (
	"maps"
	"sort"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

func (r *Ring) create(purpose string) (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.newKey(purpose)
	r.keys[k.ID] = k
	if err := r.save(); err != nil {
		delete(r.keys, k.ID)
		k.wipe()
		return nil, err
	}
	return k.clone(), nil
}

// Create makes a customer's key, enabled.
func (r *Ring) Create() (*Key, error) { return r.create("") }

// change lets fn change a copy of a key and puts it into force when it is durable. Material that fn dropped is wiped then.
func (r *Ring) change(name string, fn func(*Key) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.find(name)
	if err != nil {
		return err
	}
	k := *old
	k.Versions = append([]Version(nil), old.Versions...)
	if err := fn(&k); err != nil {
		return err
	}
	aliases := r.aliases
	if k.State == Deleted {
		r.aliases = make(map[string]alias, len(aliases))
		for name, a := range aliases {
			if a.KeyID != k.ID {
				r.aliases[name] = a
			}
		}
	}
	r.keys[k.ID] = &k
	if err := r.save(); err != nil {
		for _, v := range k.Versions[min(len(old.Versions), len(k.Versions)):] { // new ones, which nothing is under
			clear(v.material)
		}
		r.keys[k.ID], r.aliases = old, aliases
		return err
	}
	if k.State == Deleted {
		old.wipe()
	}
	return nil
}

// bury turns a key into its tombstone.
func (r *Ring) bury(k *Key) {
	if k.State != Deleted {
		k.State, k.DeleteAt, k.Versions, k.RotationDays, k.RotationFrom = Deleted, r.now(), nil, 0, time.Time{}
	}
}

// Describe returns a customer's key by key id, key ARN, alias name or alias ARN; errs.NotFound for owned and deleted ones.
func (r *Ring) Describe(name string) (*Key, error) {
	if name == "" {
		return nil, notFound(name)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, err := r.find(name)
	if err != nil {
		return nil, err
	}
	if k.Owned() || !k.exists(r.now()) {
		return nil, notFound(name)
	}
	return k.clone(), nil
}

// exists is false from the moment that a deletion is due, also before Tick did it.
func (k *Key) exists(now time.Time) bool {
	return k.State != Deleted && (k.State != PendingDeletion || now.Before(k.DeleteAt))
}

// List returns the customers' keys by id.
func (r *Ring) List() []*Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*Key
	for _, k := range r.keys {
		if !k.Owned() && k.exists(r.now()) {
			out = append(out, k.clone())
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// Wrapper returns the key that a ciphertext is sealed under, whatever its state, and the version; errs.Invalid when it is not ours.
func (r *Ring) Wrapper(ciphertext []byte) (k *Key, version uint32, err error) {
	id, version, err := keyOf(ciphertext)
	if err != nil {
		return nil, 0, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.keys[id]
	if !ok {
		return nil, 0, invalidCiphertext()
	}
	return k.clone(), version, nil
}

// notPending guards changes that a key pending deletion refuses.
func (r *Ring) notPending(k *Key) error {
	if k.Owned() || !k.exists(r.now()) {
		return notFound(k.ARN)
	}
	if k.State == PendingDeletion {
		return k.usable(r.now())
	}
	return nil
}

// SetEnabled enables or disables a key.
func (r *Ring) SetEnabled(name string, on bool) error {
	return r.change(name, func(k *Key) error {
		if err := r.notPending(k); err != nil {
			return err
		}
		k.State = Disabled
		if on {
			k.State = Enabled
		}
		return nil
	})
}

// ScheduleDeletion makes a key unusable now and deletes it after the days.
func (r *Ring) ScheduleDeletion(name string, days int) (at time.Time, err error) {
	err = r.change(name, func(k *Key) error {
		if err := r.notPending(k); err != nil {
			return err
		}
		at = r.now().AddDate(0, 0, days)
		k.State, k.DeleteAt = PendingDeletion, at
		return nil
	})
	return at, err
}

// CancelDeletion brings a key back, disabled.
func (r *Ring) CancelDeletion(name string) error {
	return r.change(name, func(k *Key) error {
		switch {
		case k.Owned() || !k.exists(r.now()):
			return notFound(k.ARN)
		case k.State != PendingDeletion:
			return errs.Named(errs.Conflict, "KMSInvalidStateException", "%s is not pending deletion.", k.ARN)
		}
		k.State, k.DeleteAt = Disabled, time.Time{}
		return nil
	})
}

// SetRotation sets the period of automatic rotation in days; 0 turns it off. Another period counts from where the one before did.
func (r *Ring) SetRotation(name string, days int) error {
	return r.change(name, func(k *Key) error {
		if err := r.notPending(k); err != nil {
			return err
		}
		if k.State == Disabled {
			return k.usable(r.now())
		}
		switch {
		case days == 0:
			k.RotationFrom = time.Time{}
		case k.RotationDays == 0:
			k.RotationFrom = r.now()
		}
		k.RotationDays = days
		return nil
	})
}

// Rotate gives a key new material now. What older versions sealed stays readable.
func (r *Ring) Rotate(name string) error {
	return r.change(name, func(k *Key) error {
		if k.Owned() {
			return notFound(k.ARN)
		}
		if err := k.usable(r.now()); err != nil {
			return err
		}
		k.addVersion(r.now(), true)
		return nil
	})
}

// Tick does what time has made due: deletions and automatic rotations. It returns the keys that it deleted and rotated.
func (r *Ring) Tick() (deleted, rotated []*Key, err error) {
	now := r.now()
	r.mu.RLock()
	var due []string
	for id, k := range r.keys {
		next := k.NextRotation()
		if k.State == PendingDeletion && !k.exists(now) || k.State == Enabled && !next.IsZero() && !now.Before(next) {
			due = append(due, id)
		}
	}
	r.mu.RUnlock()
	sort.Strings(due)
	for _, id := range due {
		var done *Key
		err := r.change(id, func(k *Key) error {
			next := k.NextRotation()
			switch {
			case k.State == PendingDeletion && !k.exists(now):
				r.bury(k)
			case k.State == Enabled && !next.IsZero() && !now.Before(next):
				k.rotate(now)
			default:
				return nil // changed meanwhile
			}
			done = k
			return nil
		})
		if err != nil {
			return deleted, rotated, err
		}
		if done != nil && done.State == Deleted {
			deleted = append(deleted, done.clone())
		} else if done != nil {
			rotated = append(rotated, done.clone())
		}
	}
	return deleted, rotated, nil
}

// Alias is a name of a key.
type Alias struct {
	Name             string // alias/name
	ARN              string
	KeyID            string
	Created, Updated time.Time
}

// SetAlias points an alias at a key. With create the alias must be new, else it must exist.
func (r *Ring) SetAlias(name, target string, create bool) error {
	return r.changeAliases(func(m map[string]alias) error {
		k, err := r.find(target)
		if err != nil {
			return err
		}
		if err := r.notPending(k); err != nil {
			return err
		}
		a, taken := m[name]
		switch {
		case taken && create:
			return errs.Named(errs.Conflict, "AlreadyExistsException", "An alias with the name %s already exists", r.aliasARN(name))
		case !taken && !create:
			return errs.Named(errs.NotFound, "NotFoundException", "Alias %s is not found.", r.aliasARN(name))
		case create:
			a.Created = r.now()
		}
		a.KeyID, a.Updated = k.ID, r.now()
		m[name] = a
		return nil
	})
}

// DeleteAlias removes an alias.
func (r *Ring) DeleteAlias(name string) error {
	return r.changeAliases(func(m map[string]alias) error {
		if _, ok := m[name]; !ok {
			return errs.Named(errs.NotFound, "NotFoundException", "Alias %s is not found.", r.aliasARN(name))
		}
		delete(m, name)
		return nil
	})
}

func (r *Ring) changeAliases(fn func(map[string]alias) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.aliases
	next := make(map[string]alias, len(old)+1)
	maps.Copy(next, old)
	if err := fn(next); err != nil {
		return err
	}
	r.aliases = next
	if err := r.save(); err != nil {
		r.aliases = old
		return err
	}
	return nil
}

func (r *Ring) aliasARN(name string) string {
	return strings.TrimSuffix(r.arn(""), "key/") + name
}

// Aliases returns all aliases by name.
func (r *Ring) Aliases() []Alias {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Alias, 0, len(r.aliases))
	for name, a := range r.aliases {
		out = append(out, Alias{Name: name, ARN: r.aliasARN(name), KeyID: a.KeyID, Created: a.Created, Updated: a.Updated})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
