package medicalimaging

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// SearchImageSets finds image sets, primary or not, by what HealthImaging lets one search for. Filters are joined by and, the values of an
// EQUAL filter by or.
func (s *Service) SearchImageSets(ctx context.Context, in *api.SearchImageSetsInput) (*api.SearchImageSetsOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	where := record.And{liveSets}
	sort := &api.Sort{SortField: api.SortFieldUpdatedAt, SortOrder: api.SortOrderDesc}
	if c := in.SearchCriteria; c != nil {
		for _, f := range c.Filters {
			e, err := filter(f)
			if err != nil {
				return nil, err
			}
			where = append(where, e)
		}
		if c.Sort != nil {
			sort = c.Sort
		}
	}
	of, err := page.Of("SearchImageSets", []any{d.ID, in.SearchCriteria})
	if err != nil {
		return nil, err
	}
	after, err := s.pages.Cursor(of, in.NextToken)
	if err != nil {
		return nil, err
	}
	index := map[api.SortField]string{api.SortFieldUpdatedAt: "updated", api.SortFieldCreatedAt: "created", api.SortFieldDICOMStudyDateAndTime: "taken"}[sort.SortField]
	q := record.Query{Kind: imageSets.Name, Where: where, After: record.Cursor(after), Limit: 50, Order: []record.Order{{Index: index, Desc: sort.SortOrder == api.SortOrderDesc}}}
	if in.MaxResults != nil {
		q.Limit = int(*in.MaxResults)
	}
	out := &api.SearchImageSetsOutput{ImageSetsMetadataSummaries: []api.ImageSetsMetadataSummary{}, Sort: sort}
	err = s.view(ctx, space(d.ID), func(v record.View) error {
		page, err := v.Query(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Hits {
			set, err := imageSets.Decode(page.Hits[i].Body)
			if err != nil {
				return err
			}
			sum, err := summary(v, storedSet{set, page.Hits[i].Version})
			if err != nil {
				return err
			}
			out.ImageSetsMetadataSummaries = append(out.ImageSetsMetadataSummaries, sum)
		}
		out.NextToken = s.pages.Token(of, string(page.Next))
		return nil
	})
	return out, err
}

// filter turns one filter into the algebra.
func filter(f api.SearchFilter) (record.Expr, error) {
	if f.Operator == api.OperatorBetween {
		return between(f.Values)
	}
	var or record.Or
	for _, v := range f.Values {
		e, err := equal(v)
		if err != nil {
			return nil, err
		}
		or = append(or, e)
	}
	return or, nil
}

func equal(v api.SearchByAttributeValue) (record.Expr, error) {
	str := func(index, s string) (record.Expr, error) {
		return record.Match{Index: index, Value: record.String(s)}, nil
	}
	switch {
	case v.DICOMPatientId != "":
		return str("00100020", v.DICOMPatientId)
	case v.DICOMAccessionNumber != "":
		return str("00080050", v.DICOMAccessionNumber)
	case v.DICOMStudyId != "":
		return str("00200010", v.DICOMStudyId)
	case v.DICOMStudyInstanceUID != "":
		return record.Match{Index: "study", Value: record.Token("", v.DICOMStudyInstanceUID)}, nil
	case v.DICOMSeriesInstanceUID != "":
		return record.Match{Index: "series", Value: record.Token("", v.DICOMSeriesInstanceUID)}, nil
	case v.IsPrimary != nil:
		return record.Match{Index: "primary", Value: record.Token("", strconv.FormatBool(*v.IsPrimary))}, nil
	}
	index, t, err := instant(v)
	return record.Match{Index: index, Value: record.Instant(t)}, err
}

// instant is the index and the point in time of a value that is one.
func instant(v api.SearchByAttributeValue) (string, time.Time, error) {
	switch {
	case !v.CreatedAt.IsZero():
		return "created", v.CreatedAt, nil
	case !v.UpdatedAt.IsZero():
		return "updated", v.UpdatedAt, nil
	case v.DICOMStudyDateAndTime != nil:
		t := studyTime(v.DICOMStudyDateAndTime.DICOMStudyDate, v.DICOMStudyDateAndTime.DICOMStudyTime)
		if t.IsZero() {
			return "", t, errs.New(errs.Invalid, "DICOMStudyDate has the form YYYYMMDD")
		}
		return "taken", t, nil
	}
	return "", time.Time{}, errs.New(errs.Invalid, "a filter value needs exactly one attribute; BETWEEN takes createdAt, updatedAt or DICOMStudyDateAndTime")
}

func between(values []api.SearchByAttributeValue) (record.Expr, error) {
	if len(values) != 2 {
		return nil, errs.New(errs.Invalid, "BETWEEN takes two values: the lower and the upper bound")
	}
	index, low, err := instant(values[0])
	if err != nil {
		return nil, err
	}
	other, high, err := instant(values[1])
	if err != nil {
		return nil, err
	}
	if index != other || high.Before(low) {
		return nil, errs.New(errs.Invalid, "the bounds of BETWEEN are of one attribute, the lower first")
	}
	return record.Range{Index: index, Low: record.Instant(low), High: record.Instant(high)}, nil
}

// summary is an image set in a search result.
func summary(v record.View, set storedSet) (out api.ImageSetsMetadataSummary, err error) {
	ms, err := set.shared()
	if err != nil {
		return out, err
	}
	tags := &api.DICOMTags{
		DICOMPatientId: text(ms, "00100020"), DICOMPatientName: text(ms, "00100010"), DICOMPatientBirthDate: text(ms, "00100030"), DICOMPatientSex: text(ms, "00100040"),
		DICOMStudyInstanceUID: set.Study, DICOMStudyId: text(ms, "00200010"), DICOMStudyDescription: text(ms, "00081030"), DICOMAccessionNumber: text(ms, "00080050"),
		DICOMSeriesInstanceUID: set.Series, DICOMSeriesModality: text(ms, "00080060"), DICOMSeriesBodyPart: text(ms, "00180015"),
		DICOMStudyDate: text(ms, "00080020"), DICOMStudyTime: text(ms, "00080030"),
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(text(ms, "00200011")), 10, 32); err == nil {
		tags.DICOMSeriesNumber = aws.Ptr(int32(n))
	}
	st, _, err := studies.Get(v, set.Study)
	if err == nil {
		series, n := st.counts()
		tags.DICOMNumberOfStudyRelatedSeries, tags.DICOMNumberOfStudyRelatedInstances = aws.Ptr(int32(series)), aws.Ptr(int32(n))
	} else if !absent(err) {
		return out, err
	}
	return api.ImageSetsMetadataSummary{ImageSetId: set.ID, Version: aws.Ptr(int32(set.version)), CreatedAt: set.Created, UpdatedAt: set.Updated,
		LastAccessedAt: set.Updated, StorageTier: api.StorageTierFrequentAccess, DICOMTags: tags, IsPrimary: aws.Ptr(set.Primary)}, nil
}

// counts are the series and instances of a study.
func (s *study) counts() (series, instances int) {
	for _, set := range s.Sets {
		instances += set.Count
	}
	return len(s.Sets), instances
}
