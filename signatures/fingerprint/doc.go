// Package fingerprint turns a message into digests that name it without saying
// what is in it, asks a network of sites about them, and answers for such a
// network.
//
// # What is taken of a message
//
// At most six fingerprints, in this order, each asked about in one DNS query:
//
//	fuzzy       a text like this: 40 bands of 20 bits, see below
//	text        exactly this text: SHA-256, cut to 128 bits, of its letters
//	attachment  exactly this file: SHA-256, cut, of the decoded bytes; the two largest, pictures last
//	picture     the same of a picture, which counts a third
//	links       the shapes of all links together, without registered domains
//	link        the shape of one link, with its registered domain
//
// A text is first reduced to a stream of letters: disguises taken off
// (message.Skeleton, so what is hidden, invisible, look-alike or turned round is
// gone), then addresses, words with a digit, and up to six words of the
// recipients' names in To that stand in the text at most three times; case,
// punctuation, spaces and the subject do not count. Of the alternatives plain
// text and HTML the HTML counts. A text of less than 60 letters has no exact
// fingerprint, one with less than 150 different windows no fuzzy one.
//
// What good mail has in common with spam that imitates it or is sent the same way
// is left out (substance.go, shared.txt): sentences of footers ("unsubscribe"),
// those of disclaimers where three different ones stand in a text, signatures
// behind "-- " of up to 400 letters; all text of delivery reports and automatic
// answers; pictures that the text shows or that are below 20 KiB; links below
// domains that many share, and those that let a reader leave, choose or read in a
// browser, or count him. Links together need twelve letters of words that few
// sites have in their paths. These rules look at single sentences and links, so
// that a word here and there does not take a whole text out.
//
// The fuzzy digest is minhash over windows of seven letters (three ideographs),
// which need no words and so survive words that are split or joined: 80 minima
// by fast similarity sketching, one hash a letter for long texts. Two minima
// make a band of 20 bits, so two texts share a band with the probability J²,
// where J is their resemblance (windows in both by windows in any). Texts are
// alike when they share MinBands = 4 of 40 bands, about J > 0.32. One minimum a
// band separates as well in measurements, but one in twenty unrelated pairs
// shares a band then, and one in a thousand with two: the server's lists stay
// short. Seven letters instead of nine gained 2 % of the copies at the same
// rate of strangers; 40 bands of 20 bits do as well as 32 of 24 in as many
// octets, and leave a finer choice of MinBands.
//
// A link's shape leaves out scheme, port, fragment and the values of a query;
// numbers and tokens in labels and paths become *. Unsubscribe links of the
// header, pictures, and links whose path says nothing are not taken. A single
// link into the domain of a recipient of the envelope is not asked about; what the
// header calls recipients does not count.
//
// # What leaves the machine
//
// Names of this form, and nothing else:
//
//	<digest in base32hex, labels of at most 63>.<kind and version>.<zone>
//	f1 fuzzy (three labels of digest)   t1 text   a1 attachment   p1 picture   m1 links   l1 link
//
// They have at most 255 octets below a zone of MaxZone characters; case does
// not count; there is one name for a digest. Who sees the query (resolvers on
// the way, the server) can tell that two sites got the same message, and can
// confirm a guess: who has a text, file or link can compute its digest. Nothing
// secret salts the digests, or sites could not compare. Short texts could be
// guessed one by one, which is why they have none. A band is 20 bits of a hash
// of two windows out of hundreds. By a rough reckoning (10^7 windows are likely in
// a language, so 10^14 pairs, so 10^8 for each value of a band) nothing of an
// unknown text can be read from it. Without netcheck, or without a zone, nothing
// is asked.
//
// # What is answered
//
//	no such name         not listed
//	127.0.<class>.<y>    class 1: reported as spam, 2: reported as wanted
//	                     y = 16·likeness + level
//
// Level 1 is as many fresh reporters as it takes, each level more is twice as
// many. Likeness is 0 for exact kinds; for fuzzy ones 0 (MinBands in common) to
// 15 (all), that of the texts of as many reporters as it takes, the nearest first. TXT says the same in words. test.<zone> and 2.0.0.127.<zone> are
// 127.0.0.2 always, 1.0.0.127.<zone> never. Any other answer counts as none.
//
// # What is believed
//
// Reports are DNS updates (RFC 2136) signed by TSIG (RFC 8945, HMAC-SHA256,
// clocks apart by at most 300 s whatever the signature asks for); each reporter
// has a key, and the key's name is the reporter. "Add TXT spam" and "ham" to a
// fingerprint's name report, "delete TXT" takes one's own word back, "delete the
// name" delists, which operators may; that holds for 30 days whatever is
// reported, for all texts like it. A signature is taken once, also over a restart,
// and a second time costs its reporter nothing. A reporter's word weighs one when
// it is said, however often, and halves in a week; an entry is listed while two
// reporters (by default) say the same and weigh more than twice what the others
// say, and vanishes when nearly nothing is left of it. So two who say ham undo
// what two have listed, and one undoes two but not three.
//
// Of a text each reporter has an entry of his own, with the bands that he said.
// His voice on a question is what he said of the nearest text that shares
// MinBands bands with the question itself: nobody's word is lent to a text that he
// did not report one like, and nothing drifts. His next report within half of the
// bands is the same entry. Rooms are shared out by reporter, so that one who
// reports what he likes can neither list, nor push out, nor fill up: a band's list
// holds four entries of a reporter and 64 in all, the reporter with the most
// loses; a reporter has a quarter of the store for what nobody confirmed (all his
// fuzzy entries count), beyond it he loses what he has not reported for longest;
// and so does, when the store is full, the reporter who has the most. Nothing that
// two reporters said of an exact fingerprint is ever dropped for want of room.
//
// Memory, disk, sessions, requests at work, reports an hour and reports in a
// message are bounded (ServerConfig). A reply is at most some 100 octets longer
// than its request; ANY, transfers and other zones are refused.
//
// # What was measured
//
// By make bench (TestFingerprints: 369 texts of the project's own, most of them
// short; TestFingerprintsCorpus: 1,500 of 4,505 texts of real mail, where it is
// present). Percent of copies that match their original:
//
//	changed in the copy                               own       corpus
//	up to twelve names                                95.4      98.5
//	every digit                                       99.2      99.7
//	order of paragraphs                               99.2      99.6
//	hidden noise everywhere                           99.2      99.7
//	all four                                          95.4      97.7
//	another salutation; case and punctuation;
//	half of the words split                           99.2      99.7
//	words appended: a fifth, half, as much again      99 99 92  99.7 98.7 89.6
//	a fifth cut off (own: the rest is too short)      80.0      96.2
//	3, 5, 10 % of the words replaced                  98 97 96  99.5 99.5 99.3
//
// What "every digit" misses are texts at the border of what has a fuzzy
// fingerprint. Least is matched of the short letters of phishing, in which a
// dozen names are much of the text: 93.9 % of names, 89.7 % of all four.
//
// Disguises of package bench/evasion: look-alike, fullwidth and mathematical
// letters, accents, digits for letters, characters without width, split words,
// comments, tags and hidden letters in words, entities, text turned round, every
// way to hide text but two (below), and every encoding: 96 to 100 %.
//
// Strangers: of 3.1 million pairs across two lists that share no cluster of
// near-duplicates 0.54 in 10,000 match. 166 of those 171 pairs are near-duplicates
// by another measure after all (a quarter of the runs of three words in common:
// one campaign of spam); without them it is 0.016 in 10,000. Within the longer
// list 3.9 in 10,000 match, 0.033 without near-duplicates. None of 4.9 million
// pairs of a spam and a good message matches that is no near-duplicate. Before
// footers, disclaimers and what mail systems write were left out, 0.035 in 10,000
// across the lists and 0.061 within one matched falsely.
//
// A message takes 26 µs (1 kB) to 1.4 ms (a newsletter of 64 kB) on a busy machine.
//
// What one reporter tried in tests (abuse_test.go), and what came of it: a made-up
// text between a spam and a good text lists nothing; 895 made-up texts with bands
// of a listed one leave it listed, reportable and delistable; texts that fill all
// lists stop neither reports nor sweeping; a full store takes from who filled it;
// a captured report sent again costs its reporter nothing; ham said for forty days
// is outweighed by three who say spam; two honest ham reports undo what two have
// listed for ten days.
//
// # What it cannot catch
//
//   - More visible noise than text: 200 words put in front of or behind a short
//     text leave 22 to 43 %, of longer mail 61 to 78 %; 200 kB leave nothing.
//   - Noise that the parser takes for visible, as white text on a page that is
//     nearly white: 80 % of short texts, 96 % of the corpus.
//   - A plain alternative full of noise, when the HTML is written so that the
//     alternative cannot be told from it in the text: 91 and 95 %.
//   - Texts written anew for every recipient, texts in pictures, files that
//     differ by a byte, and links whose paths are random as a whole.
//   - What says that it is an automatic answer or comes of a mailer-daemon: its text
//     has no fingerprint. Nor has one of up to 400 letters behind "-- ", or one with
//     a word of a footer in every sentence. Readers see the latter two, and rules can
//     see all three.
//   - Spam on services that everybody uses: their links have no fingerprint.
//   - Templates are alike: the notices of one service, the news of one sender.
//     Only reporters can tell them apart, by saying ham. With a hundred thousand
//     entries that nobody checks, a text that many send will be among them.
package fingerprint
