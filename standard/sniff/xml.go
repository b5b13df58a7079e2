package sniff

import (
	"bytes"
	"encoding/xml"
	"io"
)

// xmlDocument decides by the root element and its namespace. A document type declaration is refused unread: no health standard uses one, and
// entity tricks live there.
func xmlDocument(b []byte) Verdict {
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		tok, err := dec.Token()
		if err != nil {
			return none("begins like XML, but is not well-formed")
		}
		switch t := tok.(type) {
		case xml.Directive:
			return none("a document with a DOCTYPE: not a FHIR or C-CDA document")
		case xml.StartElement:
			return xmlRoot(dec, t)
		}
	}
}

func xmlRoot(dec *xml.Decoder, root xml.StartElement) Verdict {
	switch root.Name.Space {
	case "http://hl7.org/fhir":
		if isResourceType(root.Name.Local) {
			return Verdict{Kind: FHIRXML, Detail: root.Name.Local, Reason: "XML with root " + root.Name.Local + " in the FHIR namespace"}
		}
		return none("XML in the FHIR namespace, but its root is no R4 resource type")
	case "urn:hl7-org:v3":
		if root.Name.Local != "ClinicalDocument" {
			return none("HL7 v3 XML whose root is not ClinicalDocument")
		}
		if !cdaHeader(dec) {
			return none("root ClinicalDocument, but no CDA header follows")
		}
		return Verdict{Kind: CCDA, Reason: "XML with root ClinicalDocument in the HL7 v3 namespace"}
	}
	return none("XML, but neither FHIR nor a clinical document")
}

// cdaHeader looks for what every CDA R2 header has to have: typeId or templateId, and code.
func cdaHeader(dec *xml.Decoder) bool {
	for depth, seen := 1, 0; seen < 40; {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 1 {
				seen++
				if t.Name.Local == "typeId" || t.Name.Local == "templateId" {
					return true
				}
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return false
			}
		}
	}
	return false
}
