package wire

import (
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/galen-health/galen/aws"
)

// form reads awsQuery parameters: Member.Sub, List.member.1, Map.entry.1.key.
func (d *decoder) form(sh *aws.Shape, params url.Values, prefix string, v reflect.Value, path string) (found bool, err error) {
	switch sh.Kind {
	case aws.Structure:
		if v.Kind() == reflect.Pointer {
			fresh := reflect.New(v.Type().Elem())
			if found, err = d.form(sh, params, prefix, fresh.Elem(), path); found {
				v.Set(fresh)
			}
			return found, err
		}
		before := len(d.problems)
		for _, m := range sh.Members {
			name := m.Wire()
			if prefix != "" {
				name = prefix + "." + name
			}
			ok, err := d.form(m.Shape, params, name, v.FieldByName(m.Field), join(path, m.Name))
			if err != nil {
				return found, err
			}
			if !ok && m.Required {
				d.missing(join(path, m.Name))
			}
			found = found || ok
		}
		if !found && prefix != "" {
			d.problems = d.problems[:before] // an absent structure breaks nothing
		}
		return found, nil
	case aws.List:
		item := ".member"
		if sh.Flattened {
			item = ""
		}
		return d.formItems(params, prefix+item, v, sh, path, func(p string, el reflect.Value, i int) (bool, error) {
			return d.form(sh.Elem.Shape, params, p, el, path+"."+strconv.Itoa(i)+".member")
		})
	case aws.Map:
		out := reflect.MakeMap(v.Type())
		key, value := "key", "value"
		if sh.Key.LocationName != "" {
			key = sh.Key.LocationName
		}
		if sh.Value.LocationName != "" {
			value = sh.Value.LocationName
		}
		for i := 1; i <= maxFormItems; i++ {
			p := prefix + ".entry." + strconv.Itoa(i)
			k, ok := params[p+"."+key]
			if !ok {
				break
			}
			el := reflect.New(v.Type().Elem()).Elem()
			if _, err := d.form(sh.Value.Shape, params, p+"."+value, el, path); err != nil {
				return false, err
			}
			out.SetMapIndex(reflect.ValueOf(k[0]).Convert(v.Type().Key()), el)
		}
		if out.Len() > 0 {
			v.Set(out)
		}
		return out.Len() > 0, nil
	}
	s, ok := params[prefix]
	if !ok {
		return false, nil
	}
	return true, d.scalar(sh, s[0], v, path)
}

// maxFormItems bounds the members of one list in a form.
const maxFormItems = 10_000

func (d *decoder) formItems(params url.Values, prefix string, v reflect.Value, sh *aws.Shape, path string, read func(p string, el reflect.Value, i int) (bool, error)) (bool, error) {
	numbers := map[int]bool{}
	for k := range params {
		if rest, ok := strings.CutPrefix(k, prefix+"."); ok {
			head, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(head); err == nil && n > 0 && n <= maxFormItems {
				numbers[n] = true
			}
		}
	}
	if len(numbers) == 0 {
		if _, ok := params[strings.TrimSuffix(prefix, ".member")]; ok { // an empty list is sent as Name=
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			return true, nil
		}
		return false, nil
	}
	order := make([]int, 0, len(numbers))
	for n := range numbers {
		order = append(order, n)
	}
	sort.Ints(order)
	out := reflect.MakeSlice(v.Type(), 0, len(order))
	for i, n := range order {
		el := reflect.New(v.Type().Elem()).Elem()
		if _, err := read(prefix+"."+strconv.Itoa(n), el, i+1); err != nil {
			return false, err
		}
		out = reflect.Append(out, el)
	}
	v.Set(out)
	d.size(sh, out.Len(), path)
	return true, nil
}

// toForm is the client's side of form.
func toForm(sh *aws.Shape, v reflect.Value, prefix string, out url.Values) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case aws.Structure:
		for _, m := range sh.Members {
			f := v.FieldByName(m.Field)
			if absent(m, f) {
				continue
			}
			name := m.Wire()
			if prefix != "" {
				name = prefix + "." + name
			}
			toForm(m.Shape, f, name, out)
		}
	case aws.List:
		item := ".member."
		if sh.Flattened {
			item = "."
		}
		if v.Len() == 0 {
			out.Set(prefix, "")
		}
		for i := range v.Len() {
			toForm(sh.Elem.Shape, v.Index(i), prefix+item+strconv.Itoa(i+1), out)
		}
	case aws.Map:
		key, value := "key", "value"
		if sh.Key.LocationName != "" {
			key = sh.Key.LocationName
		}
		if sh.Value.LocationName != "" {
			value = sh.Value.LocationName
		}
		for i, k := range sortedKeys(v) {
			p := prefix + ".entry." + strconv.Itoa(i+1)
			out.Set(p+"."+key, k.String())
			toForm(sh.Value.Shape, v.MapIndex(k), p+"."+value, out)
		}
	default:
		out.Set(prefix, scalarText(&aws.Member{Shape: sh}, v))
	}
}
