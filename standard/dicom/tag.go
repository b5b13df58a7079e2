package dicom

import (
	"fmt"
	"strconv"
)

// Tag is (group, element) of a data element.
type Tag uint32

// Group is the high half.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element is the low half.
func (t Tag) Element() uint16 { return uint16(t) }

// Private reports whether the element is not the standard's (odd group, PS3.5 §7.8).
func (t Tag) Private() bool { return t.Group()&1 == 1 }

// String is the form of PS3.6: (0010,0020).
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", t.Group(), t.Element()) }

const hexDigits = "0123456789ABCDEF"

// Hex is the form of the DICOM JSON model: eight upper-case digits.
func (t Tag) Hex() string {
	var b [8]byte
	for i := range b {
		b[i] = hexDigits[t>>(28-4*i)&15]
	}
	return string(b[:])
}

// ParseTag reads eight hex digits.
func ParseTag(s string) (Tag, bool) {
	if len(s) != 8 {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return Tag(v), err == nil
}

// Tags that this package or its users name. All others are found in the dictionary.
const (
	TagFileMetaInformationGroupLength Tag = 0x00020000
	TagFileMetaInformationVersion     Tag = 0x00020001
	TagMediaStorageSOPClassUID        Tag = 0x00020002
	TagMediaStorageSOPInstanceUID     Tag = 0x00020003
	TagTransferSyntaxUID              Tag = 0x00020010
	TagImplementationClassUID         Tag = 0x00020012
	TagImplementationVersionName      Tag = 0x00020013
	TagSpecificCharacterSet           Tag = 0x00080005
	TagSOPClassUID                    Tag = 0x00080016
	TagSOPInstanceUID                 Tag = 0x00080018
	TagStudyDate                      Tag = 0x00080020
	TagSeriesDate                     Tag = 0x00080021
	TagContentDate                    Tag = 0x00080023
	TagStudyTime                      Tag = 0x00080030
	TagSeriesTime                     Tag = 0x00080031
	TagContentTime                    Tag = 0x00080033
	TagAccessionNumber                Tag = 0x00080050
	TagRetrieveAETitle                Tag = 0x00080054
	TagInstanceAvailability           Tag = 0x00080056
	TagModality                       Tag = 0x00080060
	TagModalitiesInStudy              Tag = 0x00080061
	TagManufacturer                   Tag = 0x00080070
	TagReferringPhysicianName         Tag = 0x00080090
	TagTimezoneOffsetFromUTC          Tag = 0x00080201
	TagStudyDescription               Tag = 0x00081030
	TagSeriesDescription              Tag = 0x0008103E
	TagReferencedSOPSequence          Tag = 0x00081199
	TagReferencedSOPClassUID          Tag = 0x00081150
	TagReferencedSOPInstanceUID       Tag = 0x00081155
	TagRetrieveURL                    Tag = 0x00081190
	TagWarningReason                  Tag = 0x00081196
	TagFailureReason                  Tag = 0x00081197
	TagFailedSOPSequence              Tag = 0x00081198
	TagAvailableTransferSyntaxUID     Tag = 0x00083002
	TagPatientName                    Tag = 0x00100010
	TagPatientID                      Tag = 0x00100020
	TagPatientBirthDate               Tag = 0x00100030
	TagPatientBirthTime               Tag = 0x00100032
	TagPatientSex                     Tag = 0x00100040
	TagStudyInstanceUID               Tag = 0x0020000D
	TagSeriesInstanceUID              Tag = 0x0020000E
	TagStudyID                        Tag = 0x00200010
	TagSeriesNumber                   Tag = 0x00200011
	TagInstanceNumber                 Tag = 0x00200013
	TagNumberOfStudyRelatedSeries     Tag = 0x00201206
	TagNumberOfStudyRelatedInstances  Tag = 0x00201208
	TagNumberOfSeriesRelatedInstances Tag = 0x00201209
	TagSamplesPerPixel                Tag = 0x00280002
	TagPhotometricInterpretation      Tag = 0x00280004
	TagPlanarConfiguration            Tag = 0x00280006
	TagNumberOfFrames                 Tag = 0x00280008
	TagRows                           Tag = 0x00280010
	TagColumns                        Tag = 0x00280011
	TagBitsAllocated                  Tag = 0x00280100
	TagBitsStored                     Tag = 0x00280101
	TagHighBit                        Tag = 0x00280102
	TagPixelRepresentation            Tag = 0x00280103
	TagExtendedOffsetTable            Tag = 0x7FE00001
	TagExtendedOffsetTableLengths     Tag = 0x7FE00002
	TagFloatPixelData                 Tag = 0x7FE00008
	TagDoubleFloatPixelData           Tag = 0x7FE00009
	TagPixelData                      Tag = 0x7FE00010

	tagItem              Tag = 0xFFFEE000
	tagItemDelimiter     Tag = 0xFFFEE00D
	tagSequenceDelimiter Tag = 0xFFFEE0DD
)
