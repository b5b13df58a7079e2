package s3

import (
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"

	api "github.com/galen-health/galen/aws/s3"
)

const (
	mostObjectTags = 10
	mostBucketTags = 50
)

func checkTag(k, v string) error {
	if k == "" || utf8.RuneCountInString(k) > 128 || strings.HasPrefix(k, "aws:") {
		return invalid("InvalidTag", "The TagKey you have provided is invalid")
	}
	if utf8.RuneCountInString(v) > 256 {
		return invalid("InvalidTag", "The TagValue you have provided is invalid")
	}
	return nil
}

// tagSet reads the tags of a request's document.
func tagSet(list []api.Tag, most int) (map[string]string, error) {
	if len(list) > most {
		return nil, invalid("BadRequest", "Object tags cannot be greater than %d", most)
	}
	out := make(map[string]string, len(list))
	for _, t := range list {
		if err := checkTag(t.Key, t.Value); err != nil {
			return nil, err
		}
		if _, twice := out[t.Key]; twice {
			return nil, invalid("InvalidTag", "Cannot provide multiple Tags with the same key")
		}
		out[t.Key] = t.Value
	}
	return out, nil
}

// tagHeader reads x-amz-tagging: tags as a URL query.
func tagHeader(header string) (map[string]string, error) {
	if header == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(header)
	if err != nil {
		return nil, invalid("InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	var list []api.Tag
	for k, vs := range q {
		for _, v := range vs {
			list = append(list, api.Tag{Key: k, Value: v})
		}
	}
	return tagSet(list, mostObjectTags)
}

// tagList is tags in the order of their keys.
func tagList(tags map[string]string) []api.Tag {
	out := make([]api.Tag, 0, len(tags))
	for k, v := range tags {
		out = append(out, api.Tag{Key: k, Value: v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}
