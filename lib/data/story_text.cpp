// The built-in stories. Each choice is visible in the text at once, so that a reader, or a model,
// knows everything it needs for what follows: names, pronouns, the object and its colour, the
// animal and its voice, numbers and places come back later and must agree.
#include "data/story_grammar.h"

namespace llm {
namespace {

constexpr const char* kGirls =
    "Mia/she/She/her/her Lily/she/She/her/her Ada/she/She/her/her Rosa/she/She/her/her "
    "Nora/she/She/her/her Ivy/she/She/her/her "
    "Zoe/she/She/her/her Ella/she/She/her/her June/she/She/her/her Vera/she/She/her/her";
constexpr const char* kBoys =
    "Tom/he/He/his/him Ben/he/He/his/him Leo/he/He/his/him Sam/he/He/his/him Max/he/He/his/him "
    "Finn/he/He/his/him "
    "Hugo/he/He/his/him Otto/he/He/his/him Karl/he/He/his/him Paul/he/He/his/him";

constexpr const char* kAnimals =
    "dog/barked cat/purred rabbit/squeaked horse/neighed duck/quacked goat/bleated fox/yelped "
    "owl/hooted wolf/howled frog/croaked lion/roared cow/mooed";

// Words after "a" begin with a consonant, words of one list never begin with another word of it.
const std::vector<WordList>& word_lists() {
  static const std::vector<WordList> lists = {
      {"girl", {"he", "He", "his", "him"}, kGirls},
      {"boy", {"he", "He", "his", "him"}, kBoys},
      {"name", {"he", "He", "his", "him"}, std::string(kGirls) + " " + kBoys},
      {"pet", {}, "Rex Dot Biscuit Pepper Coco Daisy Bruno Milo Fluffy Tiger"},
      {"animal", {"voice"}, kAnimals},
      {"trait", {}, "brave shy kind clever curious cheerful patient quiet polite lazy gentle wise"},
      {"color", {}, "red blue green yellow white black golden purple pink brown silver gray"},
      {"thing",
       {},
       "kite ball drum lamp book boat key hat bell map basket ring coat rope spoon mirror"},
      {"place",
       {},
       "park forest garden river beach hill market school barn bridge castle lake village farm"},
      {"spot", {}, "bush rock fence bench log tree wagon well wall gate tent ladder"},
      {"weather", {}, "sunny*3 rainy*2 windy*2 cold warm foggy snowy cloudy dark"},
      {"time", {}, "morning*3 afternoon*2 evening day*2 night"},
      {"size", {}, "little*3 big*2 tiny tall round*2 thin heavy broken strange clean funny pretty"},
      {"treat",
       {},
       "cakes pies cookies carrots pancakes muffins plums pears nuts berries eggs fish"},
      {"number", {}, "two three four five six seven eight nine ten twelve"},
      {"box", {}, "box bag jar bowl chest sack pot tin"},
      {"good", {}, "happy*3 proud*2 glad*2 calm thankful cheery hopeful safe"},
      {"bad", {}, "sad*3 scared*2 lonely worried*2 tired sick cross hungry"},
      {"how", {}, "loudly softly twice again slowly gently bravely sadly happily suddenly"},
      {"where", {}, "under behind near beside"},
      {"went", {}, "walked ran went hurried skipped raced jumped rode"},
      {"took", {}, "took carried brought dragged pulled pushed rolled moved"},
      {"fell", {}, "fell rolled slipped flew dropped landed"},
      {"sought", {}, "looked searched dug peeked waited knocked"},
      {"saw", {}, "found saw noticed spotted"},
      {"made", {}, "baked bought picked found made washed"},
      {"asked", {}, "called asked begged told"},
      {"thanked", {}, "thanked hugged kissed praised"},
      {"then", {}, "Then Soon Later Finally"},
  };
  return lists;
}

constexpr std::string_view kRules =
    // Who, where, and what belongs to them.
    "(3:Once there was a {trait=trait} (girl named {hero=girl}|boy named {hero=boy}) who lived "
    "{near=where} a {size=size} {home=place}."
    "|2:{hero=name} was a {trait=trait} child from a {size=size} house {near=where} the "
    "{home=place}."
    "|1:A {trait=trait} child named {hero=name} lived {near=where} a {size=size} {home=place}.)"
    " {hero.He} had {have=number} {food=treat}, a {color=color} {thing=thing} and a {build=size} "
    "{beast=animal} named {pet=pet}."
    "("
    // Lost and found.
    "3: One {weather=weather} {time=time}, {hero} {took=took} the {thing} to the "
    "{place!home=place}."
    " A {bulk=size} {stranger!beast=animal} {went=went} {past=where} {pet}, and the {thing} "
    "{fell=fell} {gone=where} a {paint=color} {spot=spot}."
    " {hero} felt {mood=bad} and {asked=asked} {friend!hero=name} for help."
    " {friend} {sought=sought} {look=where} a {width=size} {second!spot=spot} while {pet} "
    "{beast.voice} {how=how}."
    " {then=then} ({hero}|{friend}|{pet}) {saw=saw} the {color} {thing} {gone} the {paint} {spot}."
    "|"
    // A birthday.
    "2: When {friend!hero=name} had a birthday, {hero} {made=made} {count=number} "
    "{treats!food=treat} and (put|packed|hid) them in a {paint=color} {box=box}."
    " One {weather=weather} {time=time}, {hero} {took=took} the {box} to the {place!home=place}."
    " {pet} {beast.voice} {how=how} and ate {left=number}, so {hero} felt {mood=bad} and "
    "{went=went} {past=where} a {width=size} {spot=spot}."
    " But {friend} {saw=saw} the {paint} {box} and {thanked=thanked} {hero.him} {again=how}."
    "|"
    // A rescue.
    "2: On a {weather=weather} {time=time}, {hero} and {pet} {went=went} to the {place!home=place}."
    " They {saw=saw} a {bulk=size} {paint=color} {stray!beast=animal} {gone=where} a {spot=spot}, "
    "and it {stray.voice} {how=how}."
    " {hero} felt {mood=bad} and {asked=asked} {friend!hero=name}, who {took=took} the {thing} and "
    "{count=number} {treats!food=treat}."
    " {then=then} the {stray} {second=went} {past=where} the {spot} and {stray.voice} {again=how}."
    "|"
    // A trade.
    "2: Each {time=time}, {hero} and {friend!hero=name} {went=went} to the {place!home=place} to "
    "sell {treats!food=treat}."
    " {hero.He} had {count=number} in a {paint=color} {box=box}, and {friend} had "
    "{sum!count=number}."
    " A {width=size} {stranger!beast=animal} {past=went} {near2=where} {pet}, and the {box} "
    "{fell=fell} {gone=where} a {bulk=size} {spot=spot}."
    " {friend} felt {mood=bad}, but {hero} {saw=saw} the {paint} {box} with {count} {treats}."
    ")"
    // How it ends.
    " (In the end|At home|Back home), {hero} felt {joy=good} and {last=thanked} {friend}, and "
    "{pet} {beast.voice} {end=how} {rest=where} the {color} {thing}.";

}  // namespace

const StoryGrammar& story_grammar() {
  static const StoryGrammar grammar(word_lists(), kRules);
  return grammar;
}

}  // namespace llm
