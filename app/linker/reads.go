package linker

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
)

// plain undoes the gzip that stored metadata is served with.
func plain(r io.Reader, encoding string) (io.Reader, error) {
	if strings.EqualFold(encoding, "gzip") {
		return gzip.NewReader(r)
	}
	return r, nil
}

// readSet links a read set as a DocumentReference with its omics URI and semantic ETag.
func (l *Linker) readSet(ctx context.Context, detail json.RawMessage) error {
	var d struct {
		Store string `json:"sequenceStoreId"`
		ID    string `json:"id"`
	}
	if err := json.Unmarshal(detail, &d); err != nil || d.Store == "" || d.ID == "" {
		return errs.New(errs.Invalid, "the event names no read set")
	}
	tags, err := l.genomes.ListTagsForResource(ctx, &omics.ListTagsForResourceInput{ResourceArn: l.arn("omics", "sequenceStore/"+d.Store)})
	if err != nil {
		return err
	}
	store := tags.Tags[Tag]
	if store == "" {
		return nil
	}
	m, err := l.genomes.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: d.Store, Id: d.ID})
	if err != nil {
		return err
	}
	subject, err := l.subject(ctx, store, m.SubjectId)
	if err != nil {
		return err
	}
	var content []object
	uri := "omics://" + l.account + ".storage." + l.region + ".amazonaws.com/" + d.Store + "/readSet/" + d.ID
	add := func(part string, f *omics.FileInformation) {
		if f == nil {
			return
		}
		a := object{"url": uri + "/" + part, "title": m.Name + " " + part, "contentType": "application/octet-stream"}
		if n := aws.Val(f.ContentLength); n > 0 && n < 1<<31 {
			a["size"] = n
		}
		content = append(content, object{"attachment": a, "format": object{"system": "http://edamontology.org", "code": edam[string(m.FileType)], "display": string(m.FileType)}})
	}
	if m.Files != nil {
		add("source1", m.Files.Source1)
		add("source2", m.Files.Source2)
	}
	if len(content) == 0 {
		return errs.New(errs.Invalid, "the read set has no files")
	}
	r := object{"resourceType": "DocumentReference", "id": shortID("readset", d.Store+"/"+d.ID), "status": "current", "content": content,
		"type": coded("http://loinc.org", "86206-0", "Whole genome sequence analysis"), "identifier": []object{{"system": "urn:ietf:rfc:3986", "value": m.Arn}},
		"date": m.CreationTime.UTC().Format("2006-01-02T15:04:05Z")}
	if subject != nil {
		r["subject"] = subject
	}
	return l.put(ctx, store, r)
}

// edam are the EDAM format ids of read files.
var edam = map[string]string{"FASTQ": "format_1930", "BAM": "format_2572", "UBAM": "format_2572", "CRAM": "format_3462"}
