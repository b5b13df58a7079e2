package sniff

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// hl7 recognises HL7 v2 in its pipe form: an MSH, BHS or FHS segment whose encoding characters are five different punctuation marks (HL7 v2.5.1
// §2.14.9), possibly inside MLLP framing (0B … 1C 0D).
func hl7(b []byte) (Verdict, bool) {
	framed := b[0] == 0x0b
	if framed {
		b = bytes.TrimLeft(b[1:], "\r\n")
	}
	if len(b) < 9 {
		return Verdict{}, false
	}
	seg := string(b[:3])
	if seg != "MSH" && seg != "BHS" && seg != "FHS" {
		return Verdict{}, false
	}
	sep := b[3]
	if sep < 0x21 || sep > 0x7e || isAlnum(sep) {
		return none("begins with %s, but no field separator follows", seg), true
	}
	end := bytes.IndexByte(b[4:], sep)
	if end < 1 || end > 5 {
		return none("begins with %s, but no encoding characters follow", seg), true
	}
	seen := map[byte]bool{sep: true}
	for _, c := range b[4 : 4+end] {
		if isAlnum(c) || c <= ' ' || seen[c] {
			return none("begins with %s, but its encoding characters are not five different marks", seg), true
		}
		seen[c] = true
	}
	line := b
	if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
		line = b[:i]
	}
	if seg == "MSH" && bytes.Count(line, []byte{sep}) < 7 {
		return none("begins with MSH, but has no message type field"), true
	}
	reason := "an " + seg + " segment with encoding characters"
	if framed {
		reason += " in MLLP framing"
	}
	return Verdict{Kind: HL7v2, Reason: reason}, true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func vcf(b []byte) (Verdict, bool) {
	if !hasPrefix(b, "##fileformat=VCF") {
		return Verdict{}, false
	}
	for _, l := range lines(b, 100000) {
		if strings.HasPrefix(l, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO") {
			return Verdict{Kind: VCF, Detail: strings.TrimPrefix(lines(b, 1)[0], "##fileformat="), Reason: "a VCF fileformat line and a #CHROM header"}, true
		}
		if !strings.HasPrefix(l, "##") {
			return none("a VCF fileformat line, but no #CHROM header after it"), true
		}
	}
	if len(b) >= head {
		return Verdict{Kind: VCF, Reason: "a VCF fileformat line and a long header"}, true
	}
	return none("a VCF fileformat line, but no #CHROM header"), true
}

// gff recognises GFF3 and GTF by nine tab-separated columns with coordinates, a strand and a phase.
func gff(b []byte) (Verdict, bool) {
	declared := hasPrefix(b, "##gff-version")
	n, bad := 0, 0
	for _, l := range lines(b, 200) {
		if l == "" || l[0] == '#' {
			continue
		}
		if l[0] == '>' {
			break
		}
		f := strings.Split(l, "\t")
		if len(f) == 9 && isInt(f[3]) && isInt(f[4]) && strings.Contains("+-.?", f[6]) && len(f[6]) == 1 && strings.Contains(".012", f[7]) && len(f[7]) == 1 && f[8] != "" {
			n++
		} else {
			bad++
		}
	}
	switch {
	case n > 0 && bad <= n/20:
		return Verdict{Kind: GFF, Reason: "nine columns with coordinates, strand and phase"}, true
	case declared && n == 0 && bad == 0:
		return Verdict{Kind: GFF, Reason: "a gff-version line and no features"}, true
	case declared:
		return none("a gff-version line, but its features are not nine columns"), true
	}
	return Verdict{}, false
}

// isInt takes negative coordinates too: features cut out of a longer sequence have them.
func isInt(s string) bool { return isUint(strings.TrimPrefix(s, "-")) }

func isUint(s string) bool {
	_, err := strconv.ParseUint(s, 10, 40)
	return err == nil
}

var samHeader = regexp.MustCompile(`^@(HD|SQ|RG|PG|CO)\t`)

func sam(b []byte) (Verdict, bool) {
	headers, records := 0, 0
	for _, l := range lines(b, 5000) {
		if records == 0 && samHeader.MatchString(l) {
			headers++
			continue
		}
		f := strings.Split(l, "\t")
		if len(f) < 11 || !isUint(f[1]) || !isUint(f[3]) || !isUint(f[4]) || !isUint(f[7]) {
			break
		}
		if records++; records == 3 {
			break
		}
	}
	if records > 0 || headers > 0 {
		return Verdict{Kind: SAM, Reason: "SAM header lines or alignments of eleven columns"}, true
	}
	return Verdict{}, false
}

// fastq wants whole records of four lines: @name, bases, +, and as many qualities as bases (Cock et al. 2010). Multi-line FASTQ is told from
// look-alikes by the same rule over joined lines.
func fastq(b []byte) (Verdict, bool) {
	if b[0] != '@' {
		return Verdict{}, false
	}
	ls := lines(b, 4000)
	cut := len(b) >= head
	n := 0
	for i := 0; i+3 < len(ls) && n < 100; {
		for i < len(ls) && ls[i] == "" {
			i++
		}
		if i+3 >= len(ls) {
			break
		}
		if !strings.HasPrefix(ls[i], "@") {
			return notFastq(n)
		}
		seq, j := 0, i+1
		for j < len(ls) && !strings.HasPrefix(ls[j], "+") {
			if !isBases(ls[j]) {
				return notFastq(n)
			}
			seq += len(strings.TrimSpace(ls[j]))
			j++
		}
		q := 0
		for j++; j < len(ls) && q < seq; j++ {
			if !isQualities(ls[j]) {
				return notFastq(n)
			}
			q += len(strings.TrimRight(ls[j], "\r"))
		}
		if q != seq {
			if cut && j >= len(ls) {
				break
			}
			return none("begins like FASTQ, but a record has not as many qualities as bases"), true
		}
		if seq == 0 && j < len(ls) && ls[j] == "" {
			j++
		}
		i, n = j, n+1
	}
	if n == 0 {
		return Verdict{}, false
	}
	return Verdict{Kind: FASTQ, Reason: "records of name, bases, plus and as many qualities"}, true
}

func notFastq(n int) (Verdict, bool) {
	if n > 0 {
		return none("begins like FASTQ, but record %d is not one", n+1), true
	}
	return Verdict{}, false
}

func isBases(s string) bool {
	for _, c := range []byte(strings.TrimSpace(s)) {
		if !isAlnum(c) && c != '.' && c != '*' && c != '-' {
			return false
		}
		if c >= '0' && c <= '9' && c > '3' { // colour space uses 0–3
			return false
		}
	}
	return true
}

func isQualities(s string) bool {
	for _, c := range []byte(strings.TrimRight(s, "\r")) {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// fasta wants > lines followed by sequence letters only.
func fasta(b []byte) (Verdict, bool) {
	if b[0] != '>' && b[0] != ';' {
		return Verdict{}, false
	}
	seq := 0
	for _, l := range lines(b, 2000) {
		l = strings.TrimRight(l, " \r")
		if l == "" || l[0] == '>' || l[0] == ';' {
			continue
		}
		for _, c := range []byte(l) {
			if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '*' || c == '-') {
				return none("begins like FASTA, but its lines are not sequence letters"), true
			}
		}
		seq++
	}
	if seq == 0 {
		return none("begins like FASTA, but holds no sequence"), true
	}
	return Verdict{Kind: FASTA, Reason: "name lines with > and sequence letters"}, true
}

var (
	speaker   = regexp.MustCompile(`(?i)^\s*[\[(<]?\s*(doctor|dr|physician|clinician|provider|nurse|patient|pt|guest_[a-z]+|guest_clinician|guest_family|caregiver|therapist)(\s*[\])>]\s*:?|\s*:)\s*\S`)
	vttSpeech = regexp.MustCompile(`^\d{2}:\d{2}(:\d{2})?[.,]\d{3} --> `)
)

// dialogue recognises a written visit conversation: turns that name a clinician and a patient, or WebVTT / SubRip captions.
func dialogue(b []byte) (Verdict, bool) {
	roles := map[string]int{}
	turns, other, cues := 0, 0, 0
	for _, l := range lines(b, 2000) {
		if turns == 0 && cues == 0 && other > 0 {
			break // a table or a note that quotes a dialogue further down is not a transcript
		}
		switch m := speaker.FindStringSubmatch(l); {
		case m != nil:
			turns++
			if r := strings.ToLower(m[1]); r == "patient" || r == "pt" || strings.HasPrefix(r, "guest") || r == "caregiver" {
				roles["patient"]++
			} else {
				roles["clinician"]++
			}
		case vttSpeech.MatchString(l):
			cues++
		case strings.TrimSpace(l) != "" && !isUint(strings.TrimSpace(l)) && l != "WEBVTT":
			other++
		}
	}
	switch {
	case hasPrefix(b, "WEBVTT") && cues > 0:
		return Verdict{Kind: Transcript, Detail: "WebVTT", Reason: "WebVTT captions"}, true
	case cues > 1 && turns == 0 && isUint(strings.TrimSpace(lines(b, 1)[0])):
		return Verdict{Kind: Transcript, Detail: "SubRip", Reason: "timed captions"}, true
	case roles["patient"] >= 1 && roles["clinician"] >= 1 && turns >= 2 && turns*2 >= other:
		return Verdict{Kind: Transcript, Detail: "dialogue", Reason: "turns of a clinician and a patient"}, true
	}
	return Verdict{}, false
}
