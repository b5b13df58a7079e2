package safedial

import "testing"

// FuzzCheckURL: what is taken is an absolute http or https URL with a host and without credentials.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://hooks.example/in?a=b", "http://127.0.0.1:80/", "https://user:secret@h/", "file:///etc/passwd", "https://[::1]:443/x", "//host/x", "https:///x", "https://h:99999/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := CheckURL(s)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			t.Fatalf("%q was taken", s)
		}
	})
}
