/* The MPMC ring (src/ring/mpmc.h), two producers, one or two consumers, all interleavings.
   Command: spin -DEACH=2 -a mpmc.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m200000
   (with -DDEATH: one producer may die anywhere, and a consumer that is stuck cleans up after it as
   src/ring/party.h does; CONSUMERS and EACH set the size; tests/model.sh runs several)

   What it shows: with sequentially consistent memory each item comes out exactly once and as it
   went in, the items of a producer come out in order, no slot is written before it was emptied, and
   nobody is stuck, although notes of ready slots are trusted and may go back. The round of a slot is
   kept modulo 4 (128 in the source), claims are of one slot or two. */
#define SLOTS 2
#define ROUNDS 4
#ifndef EACH
#define EACH 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#define FULL(p) ((((p) / SLOTS) % ROUNDS) * 2)
#define GAP(p) (FULL(p) + 1)
#define FREE(p) (((p) / SLOTS) % ROUNDS)
#define BEFORE(p) ((p) + SLOTS * (ROUNDS - 1)) /* the slot's last position, of the same byte */

byte filled[SLOTS] = FULL(BEFORE(0));
byte freed[SLOTS];
byte seen_free, seen_filled; /* the notes of up to where slots were ready */
byte item[SLOTS];
byte tail, head;     /* as in the source they do not wrap; here they are too small to */
byte next[2];        /* the least number that may come out next of each producer */
byte ended;
bool dead;           /* producer 0 */
byte first[2], count[2]; /* what each producer has noted down */

#define DIE if :: who == 0 -> dead = true; goto end :: true fi

proctype producer(byte who)
{
    byte n = 0, p, k, want, was;
    do
    :: n < EACH ->
        p = tail;
        was = freed[p % SLOTS];
        if
        :: seen_free > p -> /* without looking */
            want = (n + 2 <= EACH && seen_free > p + 1 -> 2 : 1)
        :: else ->
            want = (was == FREE(p) -> 1 : 0);
            if
            :: want == 1 && n + 2 <= EACH && freed[(p + 1) % SLOTS] == FREE(p + 1) -> want = 2
            :: else
            fi;
            if
            :: want > 0 -> seen_free = p + want
            :: else
            fi
        fi;
        if
        :: want == 0 -> /* full: until something changes */
            (tail != p || freed[p % SLOTS] != was || seen_free > p)
        :: else ->
            first[who] = p;
            count[who] = want;
#ifdef DEATH
            DIE;
#endif
            atomic {
                if
                :: tail == p -> tail = p + want
                :: else -> want = 0
                fi
            };
            for (k : 1 .. want) {
#ifdef DEATH
                DIE;
#endif
                assert(item[(p + k - 1) % SLOTS] == 0);
                item[(p + k - 1) % SLOTS] = who * 16 + n + k
            }
            for (k : 1 .. want) {
#ifdef DEATH
                DIE;
#endif
                filled[(p + k - 1) % SLOTS] = FULL(p + k - 1)
            }
            n = n + want;
            p = 0; want = 0; was = 0; k = 0;
#ifdef DEATH
            DIE;
#endif
            count[who] = 0
        fi
    :: n == EACH -> break
    od;
end: ended++
}

#define UNFILLED(p) (filled[(p) % SLOTS] == FULL(BEFORE(p)) || filled[(p) % SLOTS] == GAP(BEFORE(p)))
#define NOTED(who, p) (p >= first[who] && p < first[who] + count[who])

/* spki_ring_bury: slots that the dead one noted, that were claimed, are not finished, and that the
   living one has not noted. The model clears what the dead one left in them, to keep its books. */
inline bury()
{
    for (k : 0 .. SLOTS - 1) {
        q = first[0] + k;
        if
        :: k < count[0] && q < tail && tail - q <= SLOTS && UNFILLED(q) ->
            if
            :: !NOTED(1, q) ->
                atomic {
                    if
                    :: UNFILLED(q) ->
                        filled[q % SLOTS] = GAP(q);
                        item[q % SLOTS] = 0
                    :: else
                    fi
                }
            :: else
            fi
        :: else
        fi
    }
}

proctype consumer()
{
    byte p, got, was, k, q;
    do
    :: ended == 2 && head == tail -> break
    :: else ->
        p = head;
        was = filled[p % SLOTS];
        if
        :: seen_filled > p -> was = FULL(p) /* without looking */
        :: else ->
            if
            :: was == FULL(p) && filled[(p + 1) % SLOTS] == FULL(p + 1) -> seen_filled = p + 2
            :: was == FULL(p) && filled[(p + 1) % SLOTS] != FULL(p + 1) -> seen_filled = p + 1
            :: else
            fi
        fi;
        if
        :: was == FULL(p) || was == GAP(p) ->
            atomic {
                got = 0;
                if
                :: head == p ->
                    head = p + 1;
                    got = 1;
                    if
                    :: was == FULL(p) -> /* claims are in order, so that items have to be */
                        q = item[p % SLOTS];
                        assert(q != 0 && q % 16 > next[q / 16]);
                        next[q / 16] = q % 16
                    :: else
                    fi
                :: else
                fi
            };
            if
            :: got == 1 && was == FULL(p) -> item[p % SLOTS] = 0
            :: else
            fi;
            if
            :: got == 1 -> freed[p % SLOTS] = FREE(p + SLOTS)
            :: else
            fi;
            p = 0; got = 0; was = 0; k = 0; q = 0
        :: else ->
#ifdef DEATH
            if
            :: dead -> bury()
            :: else
            fi;
#endif
            (head != p || filled[p % SLOTS] != was || seen_filled > p || (ended == 2 && head == tail)
#ifdef DEATH
             || (dead && head < tail)
#endif
            )
        fi
    od;
    assert(head == tail);
    assert(next[1] == EACH);
    assert(dead || next[0] == EACH)
}

init { atomic { run producer(0); run producer(1); run consumer();
#if CONSUMERS == 2
    run consumer()
#endif
} }
