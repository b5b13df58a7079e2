package sniff

import (
	"bytes"
	"regexp"
	"strings"
)

var (
	wdlVersion  = regexp.MustCompile(`(?m)\A(?:\s*(?:#[^\n]*)?\n)*\s*version\s+(draft-3|development|1\.\d(?:\.\d)?)\s*(?:#[^\n]*)?$`)
	wdlTask     = regexp.MustCompile(`(?m)^\s*(?:task|workflow)\s+[A-Za-z][A-Za-z0-9_]*\s*\{`)
	wdlStruct   = regexp.MustCompile(`(?m)^\s*(?:struct|enum)\s+[A-Za-z][A-Za-z0-9_]*\s*\{`)
	wdlDraft2   = regexp.MustCompile(`(?m)^\s*command\s*(?:\{|<<<)`)
	wdlImport   = regexp.MustCompile(`(?m)^\s*import\s+"[^"]+\.wdl"`)
	nfProcess   = regexp.MustCompile(`(?m)^\s*process\s+['"]?[A-Za-z_][A-Za-z0-9_]*['"]?\s*\{`)
	nfBody      = regexp.MustCompile(`(?m)^\s*(?:script:|shell:|exec:|input:|output:|"""|''')`)
	nfWorkflow  = regexp.MustCompile(`(?m)^\s*workflow\s*(?:[A-Za-z_][A-Za-z0-9_]*\s*)?\{`)
	nfUses      = regexp.MustCompile(`(?m)\b(?:Channel|channel)\s*\.\s*\w+|^\s*include\s*\{[^}]*\}\s*from\s|\|\s*view\b|\bparams\.\w+|\.out\b|\bnextflow\.`)
	nfConfig    = regexp.MustCompile(`(?m)^\s*(?:manifest|profiles|process|docker|singularity|params|executor)\s*\{`)
	cwlLine     = regexp.MustCompile(`(?m)^[ \t]*["']?cwlVersion["']?\s*:\s*["']?([^"'\s#,]+)`)
	cwlClass    = regexp.MustCompile(`(?m)^\s*(?:-\s*)?["']?(?:class["']?\s*:\s*["']?(?:Workflow|CommandLineTool|ExpressionTool|Operation)\b|\$graph["']?\s*:|\$import["']?\s*:)`)
	cwlVersions = regexp.MustCompile(`^(draft-[23]|v1\.[0-3](\.0-dev\d+)?|sbg:draft-2)$`)
)

// wdl wants a version statement with a task, workflow or struct; draft-2 has no version and is told by a task with a command.
func wdl(b []byte) (Verdict, bool) {
	m := wdlVersion.FindSubmatch(b)
	body := wdlTask.Match(b)
	switch {
	case m != nil && (body || wdlStruct.Match(b) || wdlImport.Match(b)):
		return Verdict{Kind: WDL, Detail: string(m[1]), Reason: "a WDL version statement and a task, workflow or struct"}, true
	case m != nil:
		return none("a WDL version statement, but no task, workflow or struct"), true
	case body && (wdlDraft2.Match(b) || wdlImport.Match(b)) && !nfBody.Match(b):
		return Verdict{Kind: WDL, Detail: "draft-2", Reason: "a WDL task with a command and no version statement (draft-2)"}, true
	}
	return Verdict{}, false
}

// nextflow wants its shebang with a script, a process with a body, or a workflow that uses channels, params or includes.
func nextflow(b []byte) (Verdict, bool) {
	first, _, _ := strings.Cut(string(b[:min(len(b), 200)]), "\n")
	shebang := strings.HasPrefix(first, "#!") && strings.Contains(first, "nextflow")
	switch {
	case nfProcess.Match(b) && nfBody.Match(b):
		return Verdict{Kind: Nextflow, Reason: "a Nextflow process with a body"}, true
	case nfWorkflow.Match(b) && nfUses.Match(b):
		return Verdict{Kind: Nextflow, Reason: "a Nextflow workflow that uses channels, params or includes"}, true
	case shebang && (nfUses.Match(b) || nfWorkflow.Match(b)):
		return Verdict{Kind: Nextflow, Reason: "a Nextflow script line and Nextflow calls"}, true
	case shebang:
		return none("a Nextflow script line, but no process, workflow or channel"), true
	case nfConfig.Match(b) && bytes.Contains(b, []byte("nextflowVersion")):
		return Verdict{Kind: Nextflow, Detail: "config", Reason: "a Nextflow configuration"}, true
	}
	return Verdict{}, false
}

func cwlYAML(b []byte) (Verdict, bool) {
	m := cwlLine.FindSubmatch(b)
	if m == nil {
		return Verdict{}, false
	}
	return cwlVerdict(string(m[1]), cwlClass.Match(b)), true
}

func cwlVerdict(version string, class bool) Verdict {
	if !cwlVersions.MatchString(version) {
		return none("a cwlVersion that does not exist")
	}
	if !class {
		return none("a cwlVersion, but no class or $graph")
	}
	return Verdict{Kind: CWL, Detail: version, Reason: "cwlVersion and a class"}
}
