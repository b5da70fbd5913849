/* The MPMC ring (src/ring/mpmc.h), two producers, one or two consumers, all interleavings.
   Command: spin -DEACH=2 -a mpmc.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m200000
   (with -DDEATH: one producer may die anywhere, and a consumer that is stuck cleans up after it as
   src/ring/party.h does; CONSUMERS and EACH set the size; tests/model.sh runs several)

   What it shows: with sequentially consistent memory each item comes out exactly once and as it
   went in, the items of a producer come out in order, no slot is written before it was emptied, and
   nobody is stuck. The round of a slot is kept modulo 4 (64 in the source), claims are of one slot
   or two. */
#define SLOTS 2
#define ROUNDS 4
#ifndef EACH
#define EACH 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#define FREE 0
#define FULL 1
#define GAP 2
#define BYTE(p, s) ((((p) / SLOTS) % ROUNDS) * 4 + (s))

byte state[SLOTS];
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
        was = state[p % SLOTS];
        want = (was == BYTE(p, FREE) -> 1 : 0);
        if
        :: want == 1 && n + 2 <= EACH && state[(p + 1) % SLOTS] == BYTE(p + 1, FREE) -> want = 2
        :: want == 1
        :: else
        fi;
        if
        :: want == 0 -> (tail != p || state[p % SLOTS] != was) /* full: until something changes */
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
                state[(p + k - 1) % SLOTS] = BYTE(p + k - 1, FULL)
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

#define NOTED(who, p) (p >= first[who] && p < first[who] + count[who])

/* spki_ring_bury: slots that the dead one noted, that were claimed, are not finished, and that the
   living one has not noted. The model clears what the dead one left in them, to keep its books. */
inline bury()
{
    for (k : 0 .. SLOTS - 1) {
        q = first[0] + k;
        if
        :: k < count[0] && q < tail && tail - q <= SLOTS && state[q % SLOTS] == BYTE(q, FREE) ->
            if
            :: !NOTED(1, q) ->
                atomic {
                    if
                    :: state[q % SLOTS] == BYTE(q, FREE) ->
                        state[q % SLOTS] = BYTE(q, GAP);
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
        was = state[p % SLOTS];
        if
        :: was == BYTE(p, FULL) || was == BYTE(p, GAP) ->
            atomic {
                got = 0;
                if
                :: head == p ->
                    head = p + 1;
                    got = 1;
                    if
                    :: was == BYTE(p, FULL) -> /* claims are in order, so that items have to be */
                        q = item[p % SLOTS];
                        assert(q != 0 && q % 16 > next[q / 16]);
                        next[q / 16] = q % 16
                    :: else
                    fi
                :: else
                fi
            };
            if
            :: got == 1 && was == BYTE(p, FULL) -> item[p % SLOTS] = 0
            :: else
            fi;
            if
            :: got == 1 -> state[p % SLOTS] = BYTE(p + SLOTS, FREE)
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
            (head != p || state[p % SLOTS] != was || (ended == 2 && head == tail)
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
