package assertion

import (
	"strings"
	"sync"

	"github.com/galen-health/galen/standard/clinical/text"
)

type effect uint8

const (
	pseudo effect = iota
	stop          // ends the reach of cues before it
	negate
	doubt
	suppose
	past
	family
	plan
)

type direction uint8

const (
	forward direction = iota
	backward
	both
)

type cue struct {
	effect effect
	dir    direction
	reach  int // tokens; 0 = to the end of the sentence
}

type cueNode struct {
	next map[string]*cueNode
	cues []cue // the same words may work in both directions
}

// cueTable holds the cues, one group a kind; phrases are separated by bars.
var cueTable = []struct {
	cue     cue
	phrases string
}{
	{cue{effect: pseudo}, `no increase|no change|no changes|no significant change|no interval change|no significant interval change|no further|not only|not certain if|not certain whether|gram negative|
		without difficulty|without any further|without further|not necessarily|no suspicious change|not extend|not clear if|not sure if|not sure whether|no longer able|
		not cause|not drain|not feel well|not feel good|no wonder|no problem|no problems with that|not too bad|no matter|not bad|no more than|do not forget|not rule out|
		not ruled out|not been ruled out|not be ruled out|cannot rule out|can not rule out|cannot be excluded|not excluded|not appreciably changed|not well controlled|not controlled|
		if negative|history and physical|past medical history of note|family medicine|family doctor|family physician|with no change|no definite change|no significant interval`},
	{cue{effect: stop}, `but|however|nevertheless|yet|except|although|though|still|aside from|apart from|other than|which|who|secondary to|due to|because|
		because of|since|as a cause of|as the cause of|as a source of|as a reason for|as an etiology for|source for|cause of|cause for|reason for|etiology of|etiology for|
		trigger event for|then|so|otherwise|complains of|complaining of|presents|presented|presenting|reports|reported|reveals|revealed|shows|showed|demonstrates|demonstrated|
		noted to have|found to have|consistent with|has had|while|therefore|until|after which|positive for|just|only|and has|and had|and is|and was`},
	{cue{negate, forward, 0}, `no|not|denies|denied|deny|denying|without|negative for|no evidence of|no evidence for|no sign of|no signs of|free of|absence of|absent|lack of|lacks|lacked|
		rules out|ruled out for|ruled him out for|ruled her out for|ruled the patient out for|ruled out|rule him out for|no complaints of|no history of|no known|fails to reveal|failed to reveal|
		unremarkable for|never|never had|never developed|nor|neither|none of|cannot see|declined|declines|no new|no other|no abnormal|negative|does not have|did not have|
		do n't|does n't|did n't|is n't|was n't|are n't|were n't|has n't|have n't|had n't|not have|not had|not demonstrate|not reveal|not show|not appear|not appreciate|
		nothing|nope|non|clear of|resolution of|freedom from|checked for|no findings of|no findings to indicate|with no|no gross|without evidence of|
		without any evidence of|without signs of|not associated with|no cause of|rather than|rather|instead of|no suggestion of|not complain of|negative examination for|unable to find|
		can rule out|sufficient to rule out|adequate to rule out|adequate to rule the patient out for|no mammographic evidence of|no radiographic evidence of|not known to have|
		not to be|has no|have no|had no|never a|ca n't|: no|- no|? no|was not|were not consistent with|was not consistent with|is not consistent with|are not consistent with|were not|is not|are not|not consistent with|- ve for|not suggestive of|not known`},
	{cue{negate, backward, 8}, `was ruled out|is ruled out|are ruled out|were ruled out|ruled out|has been ruled out|have been ruled out|been ruled out|was negative|is negative|are negative|were negative|
		negative|not seen|not present|not identified|not noted|not evident|not appreciated|not demonstrated|not found|not detected|not observed|not visualized|not felt|not heard|
		was absent|is absent|are absent|were absent|absent|denied|was denied|unlikely|is unlikely|was not|were not|is not|are not|free|has resolved|have resolved|had resolved|
		- negative|: negative|: no|: none|- no|? no|? none|not known|not had|not given|not required|not performed|resolved|now resolved|quit`},
	{cue{doubt, forward, 12}, `possible|possibly|probable|probably|likely|suspected|suspect|suspicious for|suspicion of|concern for|concerning for|concerned about|may have|might have|might be|
		may be|could be|could have|may represent|could represent|questionable|question of|rule out|evaluate for|to exclude|r / o|differential diagnosis|differential|versus|vs|cannot rule out|can not rule out|not rule out|cannot exclude|
		suggestive of|worrisome for|presumed|presumably|perhaps|maybe|i think|i believe|not sure if|not sure whether|unclear whether|could just be|appears to be|rule the patient out for|be ruled out for`},
	{cue{doubt, backward, 6}, `is possible|are possible|is suspected|was suspected|suspected|is likely|cannot be excluded|not excluded|can not be excluded|not be ruled out|not been ruled out|versus|vs|
		possible|could be ruled out|must be ruled out|should be ruled out|may be ruled out|might be ruled out|will be ruled out|to be ruled out|be ruled out|ought to be ruled out|did not rule out|did n't rule out|is to be ruled out`},
	{cue{suppose, forward, 0}, `if|in case|should you|should he|should she|as needed for|prn for|return for|return if|come back if|call if|call for|watch for|watch out for|monitor for|unless|
		risk of|risk for|at risk for|to prevent|prevent|prevention of|prophylaxis|prophylaxis for|in the event of|worry about|worried about|precautions|screening for|screen for|
		to avoid|can cause|may cause|could cause|might cause|when you have|as needed`},
	{cue{past, forward, 0}, `history of|past history of|past medical history|past medical history of|medical history|hx of|h / o|previous|previously|prior|status post|s / p|years ago|in the past|used to have|used to|
		had a history of|remote|in childhood|as a child|as a teenager|past surgical history|when i was|has had|history significant for|history is significant for|history is notable for|
		past medical history significant for|history|last year|last month|former|formerly|childhood`},
	{cue{past, backward, 10}, `years ago|year ago|months ago|in the past|as a child|as a teenager|in childhood|last year|by history|when i was a kid|in his past|in her past|history`},
	{cue{family, both, 0}, `mother|father|mom|mom 's|dad|dad 's|mother 's|father 's|brother|sister|brothers|sisters|grandmother|grandfather|grandma|grandpa|aunt|uncle|cousin|family history|family hx|
		son|daughter|my mom|my dad|parents|siblings|runs in the family|in the family|maternal|paternal|half brother|half sister|grandparents|wife|husband|spouse|fh`},
	{cue{plan, forward, 0}, `will order|will get|will obtain|we 'll get|i 'll order|i 'll get|we 'll order|going to order|gon na order|going to get|gon na get|schedule|scheduled for|
		scheduled|referral for|referral to|refer you for|refer you to|recommend|recommended|plan for|planned|need to get|will check|like to order|like to get|want to get|want to order|
		will repeat|will perform|go ahead and order|go ahead and get|consider|proceed with|will need|will undergo|to be done|planning for|i want to|we will|i will|i 'd like to|i would like to`},
}

var cues = sync.OnceValue(func() *cueNode {
	root := &cueNode{}
	for _, row := range cueTable {
		for _, phrase := range strings.Split(row.phrases, "|") {
			n := root
			for _, t := range text.Tokenize(phrase) {
				if n.next == nil {
					n.next = map[string]*cueNode{}
				}
				if n.next[t.Lower] == nil {
					n.next[t.Lower] = &cueNode{}
				}
				n = n.next[t.Lower]
			}
			n.cues = append(n.cues, row.cue)
		}
	}
	return root
})
