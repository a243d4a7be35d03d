package main

import (
	"encoding/hex"
	"slices"
	"testing"
)

const long = "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAA" +
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAA" +
	"AJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb"

var revoked = []int{0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345}

func statuses(t *testing.T, bits int, lst string) ([]byte, []byte) {
	t.Helper()
	list, err := decoded(bits, lst)
	if err != nil {
		t.Fatal(err)
	}
	found := make([]byte, len(list)*8/bits)
	for idx := range found {
		if found[idx], err = statusAt(list, bits, int64(idx)); err != nil {
			t.Fatal(err)
		}
	}
	return list, found
}

// The examples of draft-ietf-oauth-status-list, section 4.1.
func TestShortLists(t *testing.T) {
	for _, one := range []struct {
		bits   int
		lst    string
		bytes  string
		status []byte
	}{
		{1, "eNrbuRgAAhcBXQ", "b9a3", []byte{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}},
		{2, "eNo76fITAAPfAgc", "c944f9", []byte{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}},
	} {
		list, found := statuses(t, one.bits, one.lst)
		if hex.EncodeToString(list) != one.bytes || !slices.Equal(found, one.status) {
			t.Errorf("%s: %x, %v", one.lst, list, found)
		}
	}
}

// Its test vector of one bit each.
func TestAMillionEntries(t *testing.T) {
	_, found := statuses(t, 1, long)
	var not []int
	for idx, status := range found {
		if status != 0 {
			not = append(not, idx)
		}
	}
	if len(found) != 1<<20 || !slices.Equal(not, revoked) {
		t.Errorf("%d entries, of them not valid: %v", len(found), not)
	}
}

func TestNothingIsKnownOfWhatIsNotOnTheListNorByAListThatIsBroken(t *testing.T) {
	list, _ := decoded(1, "eNrbuRgAAhcBXQ")
	for _, idx := range []int64{-1, 16, 1 << 40} {
		if status, err := statusAt(list, 1, idx); err == nil {
			t.Errorf("entry %d is %d", idx, status)
		}
	}
	for _, lst := range []string{"", "eNrbuRgAAhcB", "eNrbuRgAAhcBXg", "b9a3", "!"} {
		if list, err := decoded(1, lst); err == nil {
			t.Errorf("%s is %x", lst, list)
		}
	}
	for _, bits := range []int{0, 3, 16} {
		if _, err := decoded(bits, "eNrbuRgAAhcBXQ"); err == nil {
			t.Errorf("a list of %d bits each was taken", bits)
		}
	}
}
