package cohort

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/galen-health/galen/standard/dicom"
)

const (
	ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"
	crImageStorage = "1.2.840.10008.5.1.4.1.1.1"
	uidRoot        = "2.25." // UIDs made of numbers (PS3.5 §B.2)
)

// images writes a CT series of a head phantom and one CR chest phantom as DICOM Part 10 files.
func (p *Person) images(n, slices int, until time.Time, write func(name string, b []byte) error) error {
	day := until.AddDate(0, -3, -n)
	study := fmt.Sprintf("%s%d%03d0", uidRoot, 7700000+n, n+1)
	for i := range slices {
		z := 2*float64(i)/float64(max(slices-1, 1)) - 1
		px := phantom(192, z*0.75)
		file, err := p.dicom(day, study, study+"1", 1, i+1, ctImageStorage, "CT", "head phantom", 192, px)
		if err != nil {
			return err
		}
		if err := write(fmt.Sprintf("ct-%03d.dcm", i+1), file); err != nil {
			return err
		}
	}
	file, err := p.dicom(day.AddDate(0, 0, 1), study+"9", study+"91", 1, 1, crImageStorage, "CR", "chest phantom", 256, chest(256))
	if err != nil {
		return err
	}
	return write("cr-001.dcm", file)
}

func (p *Person) dicom(day time.Time, study, series string, seriesNumber, instance int, class, modality, what string, size int, px []int16) ([]byte, error) {
	uid := fmt.Sprintf("%s%03d", series, instance)
	sex := "M"
	if p.Female {
		sex = "F"
	}
	d := &dicom.Dataset{}
	text := map[dicom.Tag]string{
		dicom.TagSOPClassUID: class, dicom.TagSOPInstanceUID: uid, dicom.TagStudyInstanceUID: study, dicom.TagSeriesInstanceUID: series, dicom.TagModality: modality,
		dicom.TagPatientID: p.ID, dicom.TagPatientName: p.Family + "^" + p.Given, dicom.TagPatientBirthDate: p.Born.Format("20060102"), dicom.TagPatientSex: sex,
		dicom.TagStudyDate: day.Format("20060102"), dicom.TagStudyTime: "090000", dicom.TagAccessionNumber: fmt.Sprintf("ACC%s", study[len(study)-6:]), dicom.TagStudyID: "1",
		dicom.TagStudyDescription: "synthetic " + what, dicom.TagSeriesDescription: what, dicom.TagSeriesNumber: fmt.Sprint(seriesNumber), dicom.TagInstanceNumber: fmt.Sprint(instance),
		dicom.TagManufacturer: "galen demo", dicom.TagPhotometricInterpretation: "MONOCHROME2",
	}
	for t, v := range text {
		d.SetStrings(t, v)
	}
	for t, v := range map[dicom.Tag]int64{dicom.TagRows: int64(size), dicom.TagColumns: int64(size), dicom.TagSamplesPerPixel: 1, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15, dicom.TagPixelRepresentation: 1} {
		d.SetInts(t, dicom.US, v)
	}
	var pixels bytes.Buffer
	if err := binary.Write(&pixels, binary.LittleEndian, px); err != nil {
		return nil, err
	}
	out := dicom.AppendMeta(make([]byte, 0, pixels.Len()+2048), class, uid, dicom.ExplicitVRLittleEndian)
	out, err := dicom.AppendDataset(out, d, dicom.ExplicitVRLittleEndian, nil)
	if err != nil {
		return nil, err
	}
	out = dicom.AppendPixelHeader(out, dicom.TagPixelData, dicom.OW, int64(pixels.Len()), dicom.ExplicitVRLittleEndian)
	return append(out, pixels.Bytes()...), nil
}

// ellipse of a Shepp-Logan-like head, in Hounsfield units to add.
type ellipse struct{ x, y, z, a, b, c, angle, hu float64 }

var head = []ellipse{
	{0, 0, 0, .69, .92, .81, 0, 1900}, {0, -.0184, 0, .6624, .874, .78, 0, -960}, {.22, 0, 0, .11, .31, .22, -18, -30}, {-.22, 0, 0, .16, .41, .28, 18, -30},
	{0, .35, -.15, .21, .25, .41, 0, 35}, {0, .1, .25, .046, .046, .05, 0, 60}, {-.08, -.605, 0, .046, .023, .05, 0, 45}, {.06, -.605, 0, .023, .046, .05, 0, 45},
}

func phantom(n int, z float64) []int16 {
	px := make([]int16, n*n)
	for row := range n {
		for col := range n {
			x, y := 2*float64(col)/float64(n-1)-1, 1-2*float64(row)/float64(n-1)
			hu := -1000.0
			for _, e := range head {
				s, c := math.Sincos(e.angle * math.Pi / 180)
				dx, dy := (x-e.x)*c+(y-e.y)*s, (y-e.y)*c-(x-e.x)*s
				if dx*dx/(e.a*e.a)+dy*dy/(e.b*e.b)+(z-e.z)*(z-e.z)/(e.c*e.c) <= 1 {
					hu += e.hu
				}
			}
			px[row*n+col] = int16(hu) + int16((row*31+col*17)%9) - 4
		}
	}
	return px
}

func chest(n int) []int16 {
	px := make([]int16, n*n)
	for row := range n {
		for col := range n {
			x, y := 2*float64(col)/float64(n-1)-1, 2*float64(row)/float64(n-1)-1
			v := 2600 - 900*math.Hypot(x*.7, y*.5)
			for _, side := range []float64{-.38, .38} {
				if (x-side)*(x-side)/.075+(y+.05)*(y+.05)/.36 < 1 {
					v -= 1200 + 180*math.Cos(y*26)
				}
			}
			if x*x/.02+(y-.25)*(y-.25)/.1 < 1 {
				v += 500
			}
			px[row*n+col] = int16(v) + int16((row*13+col*7)%11)
		}
	}
	return px
}
