package dicom

// Transfer syntaxes (PS3.5 annex A).
const (
	ImplicitVRLittleEndian         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian = "1.2.840.10008.1.2.1.99"
	EncapsulatedUncompressed       = "1.2.840.10008.1.2.1.98"
	ExplicitVRBigEndian            = "1.2.840.10008.1.2.2"
	JPEGBaseline                   = "1.2.840.10008.1.2.4.50"
	JPEGExtended                   = "1.2.840.10008.1.2.4.51"
	JPEGLossless                   = "1.2.840.10008.1.2.4.57"
	JPEGLosslessSV1                = "1.2.840.10008.1.2.4.70"
	JPEGLSLossless                 = "1.2.840.10008.1.2.4.80"
	JPEGLSNearLossless             = "1.2.840.10008.1.2.4.81"
	JPEG2000Lossless               = "1.2.840.10008.1.2.4.90"
	JPEG2000                       = "1.2.840.10008.1.2.4.91"
	JPEG2000MCLossless             = "1.2.840.10008.1.2.4.92"
	JPEG2000MC                     = "1.2.840.10008.1.2.4.93"
	JPEGXL                         = "1.2.840.10008.1.2.4.112"
	HTJ2KLossless                  = "1.2.840.10008.1.2.4.201"
	HTJ2KLosslessRPCL              = "1.2.840.10008.1.2.4.202"
	HTJ2K                          = "1.2.840.10008.1.2.4.203"
	RLELossless                    = "1.2.840.10008.1.2.5"
)

// videoSyntaxes are MPEG-2, MPEG-4 and HEVC: .100 to .108, with the fragmentable forms.
var videoSyntaxes = map[string]bool{
	"1.2.840.10008.1.2.4.100": true, "1.2.840.10008.1.2.4.100.1": true, "1.2.840.10008.1.2.4.101": true, "1.2.840.10008.1.2.4.101.1": true,
	"1.2.840.10008.1.2.4.102": true, "1.2.840.10008.1.2.4.102.1": true, "1.2.840.10008.1.2.4.103": true, "1.2.840.10008.1.2.4.103.1": true,
	"1.2.840.10008.1.2.4.104": true, "1.2.840.10008.1.2.4.104.1": true, "1.2.840.10008.1.2.4.105": true, "1.2.840.10008.1.2.4.105.1": true,
	"1.2.840.10008.1.2.4.106": true, "1.2.840.10008.1.2.4.106.1": true, "1.2.840.10008.1.2.4.107": true, "1.2.840.10008.1.2.4.108": true,
}

// Video reports whether the pixel data is one video stream.
func Video(syntax string) bool { return videoSyntaxes[syntax] }

// Native reports whether pixel data is not encapsulated.
func Native(syntax string) bool {
	switch syntax {
	case ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian:
		return true
	}
	return false
}

// layout is how a data set's elements are laid out.
type layout struct{ implicit, big bool }

func layoutOf(syntax string) layout {
	return layout{implicit: syntax == ImplicitVRLittleEndian, big: syntax == ExplicitVRBigEndian}
}

// MediaType is what a frame of the syntax is called in DICOMweb (PS3.18 table 8.7.3-5), "" for one that has no name there.
func MediaType(syntax string) string {
	switch syntax {
	case JPEGBaseline, JPEGExtended, JPEGLossless, JPEGLosslessSV1:
		return "image/jpeg"
	case RLELossless:
		return "image/dicom-rle"
	case JPEGLSLossless, JPEGLSNearLossless:
		return "image/jls"
	case JPEG2000Lossless, JPEG2000:
		return "image/jp2"
	case JPEG2000MCLossless, JPEG2000MC:
		return "image/jpx"
	case HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K:
		return "image/jphc"
	case JPEGXL:
		return "image/jxl"
	}
	if Video(syntax) {
		switch {
		case syntax == "1.2.840.10008.1.2.4.100", syntax == "1.2.840.10008.1.2.4.100.1", syntax == "1.2.840.10008.1.2.4.101", syntax == "1.2.840.10008.1.2.4.101.1":
			return "video/mpeg"
		case syntax == "1.2.840.10008.1.2.4.107", syntax == "1.2.840.10008.1.2.4.108":
			return "video/H265"
		}
		return "video/mp4"
	}
	if Native(syntax) {
		return "application/octet-stream"
	}
	return ""
}
