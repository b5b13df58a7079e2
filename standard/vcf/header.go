package vcf

import (
	"fmt"
	"strconv"
	"strings"
)

// Header is the meta-information and the column line (VCFv4.3 §1.4, §1.5).
type Header struct {
	Version string // "VCFv4.3"
	Text    string // all lines up to and with #CHROM, each ended by a line feed
	Contigs []Contig
	Info    map[string]Field
	Format  map[string]Field
	Filters map[string]string // id to description
	Samples []string
}

// Contig is a ##contig line.
type Contig struct {
	ID     string
	Length int64 // 0 when it is not said
}

// Field is an ##INFO or ##FORMAT line.
type Field struct {
	ID, Number, Type, Description string
	Count                         int // Number when it is one, else −1
}

// Bounds of a file.
const (
	maxHeader  = 256 << 20
	maxLine    = 1 << 30
	maxSamples = 1 << 20
)

// fault is an error at a line, from 1; column is 0 when the whole line is meant.
type fault struct {
	line   int64
	column string
	reason string
}

func (f *fault) Error() string {
	if f.column == "" {
		return fmt.Sprintf("vcf: line %d: %s", f.line, f.reason)
	}
	return fmt.Sprintf("vcf: line %d, %s: %s", f.line, f.column, f.reason)
}

// headerParser takes in header lines.
type headerParser struct {
	h    Header
	text strings.Builder
	line int64
}

func (p *headerParser) fail(format string, args ...any) error {
	return &fault{p.line, "", fmt.Sprintf(format, args...)}
}

// add takes in one line without its line feed; done is true after #CHROM.
func (p *headerParser) add(line string) (done bool, err error) {
	p.line++
	if p.text.Len()+len(line) > maxHeader {
		return false, p.fail("the header is larger than %d bytes", maxHeader)
	}
	p.text.WriteString(line)
	p.text.WriteByte('\n')
	switch {
	case p.line == 1:
		v, ok := strings.CutPrefix(line, "##fileformat=")
		if !ok || len(v) != 7 || !strings.HasPrefix(v, "VCFv4.") || v[6] < '0' || v[6] > '5' {
			return false, p.fail("a VCF file begins with ##fileformat=VCFv4.0 to 4.5")
		}
		p.h.Version = v
		p.h.Info, p.h.Format, p.h.Filters = map[string]Field{}, map[string]Field{}, map[string]string{}
		return false, nil
	case strings.HasPrefix(line, "##"):
		return false, p.meta(line[2:])
	case strings.HasPrefix(line, "#"):
		p.h.Text = p.text.String()
		return true, p.columns(line)
	}
	return false, p.fail("neither a ## line nor the #CHROM line: the header must end with #CHROM")
}

func (p *headerParser) meta(line string) error {
	key, value, ok := strings.Cut(line, "=")
	if !ok || key == "" || value == "" {
		return p.fail("a ## line is ##key=value")
	}
	switch key {
	case "INFO", "FORMAT", "FILTER", "ALT", "contig":
		if !strings.HasPrefix(value, "<") {
			return p.fail("##%s is ##%s=<ID=…>", key, key)
		}
	default:
		return nil // META, SAMPLE, PEDIGREE, lines of other tools: nothing is read from them
	}
	m, err := structured(value)
	if err != "" {
		return p.fail("##%s: %s", key, err)
	}
	if m["ID"] == "" {
		return p.fail("##%s has no ID", key)
	}
	switch key {
	case "contig":
		return p.contig(m)
	case "FILTER":
		if strings.ContainsAny(m["ID"], "; \t") || m["ID"] == "0" {
			return p.fail("##FILTER has an ID with white space or semicolon, or 0")
		}
		p.h.Filters[m["ID"]] = m["Description"]
	case "INFO", "FORMAT":
		return p.field(key, m)
	case "ALT":
		if strings.ContainsAny(m["ID"], "<> \t,") {
			return p.fail("##ALT has an ID with white space, comma or angle bracket")
		}
	}
	return nil
}

func (p *headerParser) contig(m map[string]string) error {
	c := Contig{ID: m["ID"]}
	if !contigName(c.ID) {
		return p.fail("##contig has an ID that is no contig name")
	}
	if l := m["length"]; l != "" {
		n, err := strconv.ParseInt(l, 10, 64)
		if err != nil || n < 0 {
			return p.fail("##contig has a length that is no number")
		}
		c.Length = n
	}
	p.h.Contigs = append(p.h.Contigs, c)
	return nil
}

func (p *headerParser) field(key string, m map[string]string) error {
	f := Field{ID: m["ID"], Number: m["Number"], Type: m["Type"], Description: m["Description"], Count: -1}
	if !keyName(f.ID) {
		return p.fail("##%s has an ID with white space or one of ; = , :", key)
	}
	switch f.Type {
	case "Integer", "Float", "Character", "String":
	case "Flag":
		if key == "FORMAT" {
			return p.fail("##FORMAT cannot be a Flag")
		}
	default:
		return p.fail("##%s has a Type that is none of Integer, Float, Flag, Character, String", key)
	}
	switch f.Number {
	case "A", "R", "G", ".", "LA", "LR", "LG", "P", "M", "": // without Number: as many as there are
	default:
		n, err := strconv.Atoi(f.Number)
		if err != nil || n < 0 {
			return p.fail("##%s has a Number that is none of A, R, G, . and a count", key)
		}
		f.Count = n
	}
	if key == "INFO" {
		p.h.Info[f.ID] = f
	} else {
		p.h.Format[f.ID] = f
	}
	return nil
}

func (p *headerParser) columns(line string) error {
	c := strings.Split(line, "\t")
	for i, want := range []string{"#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"} {
		if i == 8 && len(c) == 8 {
			return nil
		}
		if i >= len(c) || c[i] != want {
			return p.fail("column %d of the #CHROM line must be %s, with tabs between columns", i+1, want)
		}
	}
	if len(c)-9 > maxSamples {
		return p.fail("%d samples, the most is %d", len(c)-9, maxSamples)
	}
	seen := map[string]bool{}
	for _, s := range c[9:] {
		if s == "" || seen[s] {
			return p.fail("a sample has no name or the name of another")
		}
		seen[s] = true
	}
	p.h.Samples = c[9:]
	return nil
}

// structured reads <key=value,…>; values may be in quotes, with \" and \\ within (VCFv4.3 §1.4).
func structured(s string) (m map[string]string, fault string) {
	if len(s) < 2 || s[len(s)-1] != '>' {
		return nil, "the line does not end with >"
	}
	m = map[string]string{}
	s = s[1 : len(s)-1]
	for s != "" {
		eq := strings.IndexByte(s, '=')
		if eq <= 0 || strings.ContainsAny(s[:eq], " ,\"<>") {
			return nil, "not a list of key=value between commas"
		}
		key := s[:eq]
		s = s[eq+1:]
		var v string
		if strings.HasPrefix(s, `"`) {
			end := -1
			for i := 1; i < len(s); i++ {
				if s[i] == '\\' {
					i++
				} else if s[i] == '"' {
					end = i
					break
				}
			}
			if end < 0 {
				return nil, key + " has no closing quotation mark"
			}
			v, s = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1:end]), s[end+1:]
		} else {
			end := len(s)
			if strings.HasPrefix(s, "[") && strings.IndexByte(s, ']') > 0 { // META Values=[a, b]
				end = strings.IndexByte(s, ']') + 1
			} else if i := strings.IndexByte(s, ','); i >= 0 {
				end = i
			}
			v, s = s[:end], s[end:]
		}
		if _, ok := m[key]; ok {
			return nil, key + " is given twice"
		}
		m[key] = v
		if s == "" {
			break
		}
		if s[0] != ',' {
			return nil, "after " + key + " comes neither a comma nor the end"
		}
		if s = s[1:]; s == "" {
			return nil, "the list ends with a comma"
		}
	}
	return m, ""
}

// contigName is [0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]* (VCFv4.3 §1.4.7).
func contigName(s string) bool {
	if s == "" || s[0] == '*' || s[0] == '=' {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte("\\,\"'`()[]{}<>", s[i]) >= 0 {
			return false
		}
	}
	return true
}

// keyName accepts any key that can be told from its neighbours; what the versions allow is narrower (VCFv4.3 §1.6.1).
func keyName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ';' || s[i] == '=' || s[i] == ',' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}
