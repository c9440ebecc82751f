# demo-text.awk: writes small tales, one a line, for script/demo to train on.
#   awk -v seed=1 -v bytes=400000 -f script/demo-text.awk
# The same seed gives the same text with every awk: random numbers are of our own making (Park and Miller's generator).
# Words are chosen at random; what a tale has said stays true: who it is about, what is sought, where it was, who helped.
# That is what a model trained on it can learn.

function pick(n) {
  state = (state * 16807) % 2147483647
  return int(state / 2147483647 * n) + 1
}

# One of "a|b|c".
function one(list,    n, items) {
  n = split(list, items, "|")
  return items[pick(n)]
}

function upper(s) { return toupper(substr(s, 1, 1)) substr(s, 2) }

function person(    p) {
  p = one(people)
  name = substr(p, 3)
  he = substr(p, 1, 1) == "f" ? "she" : "he"
  his = he == "she" ? "her" : "his"
  him = he == "she" ? "her" : "him"
  trade = one("a miller|a baker|a sailor|a weaver|a young shepherd|an old smith|a clockmaker|a fisher|a painter|a gardener")
}

# What is lost, and where it will be found.
function quest() {
  when = one("morning|evening|night|day in spring|day in autumn|winter day")
  thing = one("key|lamp|ring|map|letter|silver bell|red scarf|blue cup|wooden flute|green book")
  size = one("small|old|precious|strange|lovely")
  lost = one("under the bridge|behind the mill|in the orchard|by the well|near the harbour|in the old tower|on the hill")
  return one("One " when " " name " lost the " thing "." \
    "|One " when " the " thing " was gone." \
    "|But one " when " " name " could not find the " thing ".")
}

function search(    place) {
  place = one("kitchen|garden|barn|attic|cellar|market")
  return upper(he) one(" looked for it in the | searched the ") place one(" and found nothing.|, but it was not there.|, in vain.")
}

function help(    where) {
  animal = one("fox|crow|cat|hare|hedgehog|goat|dog|heron")
  where = one("saw|met|came upon")
  return one("On the road|At the gate|At noon|In the rain|In the evening") " " he " " where " a " animal ". " \
    "\"" one("What are you looking for|Why are you so sad|Where are you going") "?\" asked the " animal ". " \
    "\"" one("I am looking for|I have lost|I cannot find") " my " thing ",\" said " name ". " \
    "\"" one("I saw it|It lies|I know where it is. Look") " " lost ",\" said the " animal ". "
}

function finish() {
  return one("So|And so|At once") " " name one(" ran| went| walked") " there, and " lost " lay the " thing ". " \
    upper(he) " thanked the " animal one(" and gave it |, and the two ate ") food "." \
    one(" From that day on " name " and the " animal " were friends." \
      "| Then " he " took the " thing " home to " his " " kin "." \
      "| And " name " never lost the " thing " again.")
}

function tale(    s) {
  person()
  kin = one("mother|father|brother|sister|grandmother")
  food = one("bread|an apple|cheese|a piece of cake|honey|some milk")
  s = quest()
  s = one("Once there was|There once lived|Long ago there was") " " trade " whose name was " name ". " \
    upper(he) " had a " size " " thing ", which " his " " kin " had given " him ". " s
  s = s " " search()
  if (pick(2) == 1) s = s " " search()
  s = s " " help() finish()
  gsub(/ a old/, " an old", s)
  return s
}

BEGIN {
  state = (seed + 0) * 7919 + 12345
  people = "f Anna|f Clara|f Ida|f Greta|f Rosa|f Marie|m Otto|m Karl|m Peter|m Emil|m Jonas|m Felix"
  for (i = 0; i < 10; i++) pick(1)
  while (written < bytes) {
    t = tale()
    written += length(t) + 1
    print t
  }
}
