package sql

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// What parent and child say to each other: messages of JSON behind their length, one request down, then messages up until one has End or Error.

// MaxMessage bounds a message.
const MaxMessage = 32 << 20

// Request is what the child gets.
type Request struct {
	SQL      string
	Names    bool     // tell the names of the tables only
	Database string   // that names without one are in
	Tables   []Handed // what there is to read
	Memory   string   // "512MB"
	Threads  int
}

// Handed is a table whose files are open descriptors of the child.
type Handed struct {
	Database, Name string
	Columns        []Column // for a table without files
	Descriptors    []int
}

// Message is what the child answers.
type Message struct {
	Names   []string    `json:",omitempty"`
	Columns []Column    `json:",omitempty"`
	Rows    [][]*string `json:",omitempty"`
	Error   string      `json:",omitempty"` // for the caller: DuckDB's words about the caller's SQL
	Memory  bool        `json:",omitempty"` // the memory limit was the cause
	End     bool        `json:",omitempty"`
}

// Send writes a message.
func Send(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("sql: a message of %d bytes, the most is %d", len(b), MaxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// Receive reads a message.
func Receive(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > MaxMessage {
		return fmt.Errorf("sql: a message of %d bytes, the most is %d", n, MaxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
