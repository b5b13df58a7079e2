package aws_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// step is one call of the command line client. {name} in its arguments is what an earlier step kept.
type step struct {
	args string
	want string // must be in what it prints; a text that begins with ! is the error it must end with
	keep string // name of the first thing that looks like an id or ARN under this key: "name=Key"
}

// The command line client, as a smoke test: each service's listing and a write of it, and the transfers of `aws s3`.
func TestCLI(t *testing.T) {
	g := galen.Start(t)
	once := exec.Command(galen.Tool(t, "aws"), "sts", "get-caller-identity") // the program itself; the rest through its driver
	once.Env = g.Env()
	if out, err := once.CombinedOutput(); err != nil || !strings.Contains(string(out), galen.Account) {
		t.Fatalf("aws sts get-caller-identity: %v\n%s", err, out)
	}
	cli := startCLI(t, g)
	dir := t.TempDir()
	files := map[string]string{"in/a.txt": "one", "in/deep/b.txt": "two", "in/deep/c d.txt": "three", "large": strings.Repeat("0123456789abcdef", 600_000)} // large: in parts
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept := map[string]string{"dir": dir, "account": galen.Account}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"omics.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	for _, s := range []step{
		{"sts get-caller-identity", galen.Account, ""},
		{"s3 mb s3://cli-bucket", "make_bucket: cli-bucket", ""},
		{"s3 ls", "cli-bucket", ""},
		{"s3 cp {dir}/large s3://cli-bucket/large", "upload:", ""},
		{"s3 sync {dir}/in s3://cli-bucket/in", "upload:", ""},
		{"s3 sync {dir}/in s3://cli-bucket/in --size-only", "", ""},
		{"s3 cp s3://cli-bucket/large {dir}/back", "download:", ""},
		{"s3 sync s3://cli-bucket/in {dir}/out", "download:", ""},
		{"s3 mv s3://cli-bucket/in/a.txt s3://cli-bucket/moved", "move:", ""},
		{"s3 ls s3://cli-bucket --recursive --summarize", "Total Objects: 4", ""},
		{"s3api head-object --bucket cli-bucket --key in/a.txt", "!404", ""},
		{"s3 rb s3://cli-bucket --force", "remove_bucket: cli-bucket", ""},
		{"kms create-key --description cli", "KeyMetadata", "key=Arn"},
		{"kms describe-key --key-id {key}", `"Description": "cli"`, ""},
		{"kms list-keys", "Keys", ""},
		{"iam create-role --role-name cli --assume-role-policy-document " + trust, "RoleId", "role=Arn"},
		{"iam get-role --role-name cli", "omics.amazonaws.com", ""},
		{"iam list-roles", `"RoleName": "cli"`, ""},
		{"events put-rule --name cli --event-pattern {\"source\":[\"x\"]}", "RuleArn", ""},
		{"events list-rules", `"Name": "cli"`, ""},
		{"cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateRole", "CreateRole", ""},
		{"athena list-databases --catalog-name AwsDataCatalog", "DatabaseList", ""},
		{"athena start-query-execution --query-string SELECT --result-configuration OutputLocation=s3://none/", "QueryExecutionId", "query=QueryExecutionId"},
		{"athena get-query-execution --query-execution-id {query}", "primary", ""},
		{"healthlake create-fhir-datastore --datastore-type-version R4 --datastore-name cli", "DatastoreEndpoint", "lake=DatastoreId"},
		{"healthlake list-fhir-datastores", "{lake}", ""},
		{"healthlake describe-fhir-datastore --datastore-id 00000000000000000000000000000000", "!ResourceNotFoundException", ""},
		{"medical-imaging create-datastore --datastore-name cli", "datastoreStatus", "images=datastoreId"},
		{"medical-imaging list-datastores", "{images}", ""},
		{"medical-imaging search-image-sets --datastore-id {images}", "imageSetsMetadataSummaries", ""},
		{"omics create-sequence-store --name cli", "creationTime", "reads=id"},
		{"omics get-sequence-store --id {reads}", `"name": "cli"`, ""},
		{"omics list-sequence-stores", "{reads}", ""},
		{"transcribe list-medical-scribe-jobs", "MedicalScribeJobSummaries", ""},
		{"transcribe start-medical-scribe-job --medical-scribe-job-name cli --media MediaFileUri=s3://none/x.wav --output-bucket-name none --data-access-role-arn {role} --settings ShowSpeakerLabels=true", "!BadRequestException", ""},
		{"comprehendmedical detect-entities-v2 --text aspirin", "MEDICATION", ""},
		{"connecthealth create-domain --name cli", "domainId", "domain=domainId"},
		{"connecthealth list-domains", "{domain}", ""},
		{"healthlake wait fhir-datastore-active --datastore-id {lake}", "", ""}, // late: between two looks it sleeps a minute
	} {
		if out := cli.run(t, s, kept); s.keep != "" {
			name, field, _ := strings.Cut(s.keep, "=")
			m := regexp.MustCompile(`"` + field + `": "([^"]+)"`).FindStringSubmatch(out)
			if m == nil {
				t.Fatalf("aws %s: no %s in\n%s", s.args, field, out)
			}
			kept[name] = m[1]
		}
	}
	for local, original := range map[string]string{"back": "large", "out/a.txt": "in/a.txt", "out/deep/b.txt": "in/deep/b.txt", "out/deep/c d.txt": "in/deep/c d.txt"} {
		if got, err := os.ReadFile(filepath.Join(dir, local)); err != nil || string(got) != files[original] {
			t.Errorf("%s came back with %d bytes, want %d (%v)", local, len(got), len(files[original]), err)
		}
	}
}

// client is the command line client, kept running.
type client struct {
	in  *json.Encoder
	out *json.Decoder
}

type printed struct {
	RC       int
	Out, Err string
}

func startCLI(t *testing.T, g *galen.Server) *client {
	t.Helper()
	cmd := exec.Command(galen.Tool(t, "python3"), filepath.Join(galen.Root(), "test", "clients", "cli.py"))
	cmd.Env, cmd.Stderr = g.Env(), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("the command line client ended with %v", err)
		}
	})
	return &client{json.NewEncoder(in), json.NewDecoder(out)}
}

// run makes one call and returns what it printed.
func (c *client) run(t *testing.T, s step, kept map[string]string) string {
	t.Helper()
	fill := func(text string) string {
		for name, value := range kept {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		return text
	}
	args := strings.Fields(s.args)
	for i := range args {
		args[i] = fill(args[i])
	}
	var p printed
	if err := errors.Join(c.in.Encode(args), c.out.Decode(&p)); err != nil {
		t.Fatalf("aws %s: %v", s.args, err)
	}
	want, refused := strings.CutPrefix(fill(s.want), "!")
	switch {
	case refused && (p.RC == 0 || !strings.Contains(p.Err, want)):
		t.Errorf("aws %s: %d, want the error %s, got\n%s%s", s.args, p.RC, want, p.Out, p.Err)
	case !refused && (p.RC != 0 || !strings.Contains(p.Out, want)):
		t.Errorf("aws %s: %d, want %q in\n%s%s", s.args, p.RC, want, p.Out, p.Err)
	}
	return p.Out
}
