/* The SPSC ring (src/ring/spsc.h), all interleavings, with the sleeping of both sides.
   Command: spin -a spsc.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000
   (spin -DCAPACITY=3: a ring that is not a power of two; tests/model.sh runs 1, 2 and 3)

   With letters (src/ring/talk.h): the consumer may ask for them after any item.

   What it shows: with sequentially consistent memory no item is lost, doubled, out of order or
   read before it was written, no slot is written before it was read, there are never more than
   CAPACITY items, nobody sleeps for ever, and a closed ring has a limit of 0. Positions wrap at 8 (mod 2^3), a multiple of the
   slots, as the real ones do at 2^32 and 2^64. Orders of memory are argued in the source. */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define SLOTS 4
#define WRAP 8
#define ITEMS 11

byte slot[SLOTS];
byte tail = 6, head = 6;         /* begins before the wrap */
byte items_wanted, room_wanted;  /* 1: somebody sleeps, or is about to */
bool items_asleep, room_asleep;
bool closed;
bool no_limit = true, talking;   /* no_limit false: `limit` is 0 */
byte word[2], position[2];       /* letters; positions count from 1 and do not wrap here */

#define USED(t, h) ((t + WRAP - h) % WRAP)

proctype producer()
{
    byte n = 0, head_seen = 6, t;
    do
    :: n < ITEMS ->
        t = tail;
        if
        :: USED(t, head_seen) >= CAPACITY -> head_seen = head
        :: else
        fi;
        if
        :: USED(t, head_seen) >= CAPACITY ->
            /* sleep: say so, look again, sleep only if nothing came in between */
            room_wanted = 1;
            if
            :: USED(tail, head) >= CAPACITY ->
                atomic {
                    if
                    :: room_wanted == 1 -> room_asleep = true
                    :: else
                    fi
                };
                !room_asleep
            :: else
            fi
        :: else ->
            assert(slot[t % SLOTS] == 0);
            slot[t % SLOTS] = n + 1;
            if
            :: !no_limit -> word[n % 2] = n + 1; position[n % 2] = n + 1
            :: else
            fi;
            assert(USED(tail, head) < CAPACITY);
            tail = (t + 1) % WRAP;
            if
            :: items_wanted == 1 -> atomic { items_wanted = 0; items_asleep = false }
            :: else
            fi;
            n++
        fi
    :: n == ITEMS -> break
    od;
    closed = true;
    no_limit = false;
    if
    :: items_wanted == 1 -> atomic { items_wanted = 0; items_asleep = false }
    :: else
    fi
}

proctype consumer()
{
    byte n = 0, tail_seen = 6, h, t, w;
    bool was_closed;
    do
    :: h = head;
       was_closed = closed;
       w = 0;
       if
       :: tail_seen == h && talking ->
           t = tail;
           if
           :: USED(t, h) > 1 ->
               talking = false;
               no_limit = true;
               if
               :: closed -> no_limit = false
               :: else
               fi
           :: USED(t, h) == 1 ->
               w = word[n % 2];
               if
               :: position[n % 2] != n + 1 -> w = 0
               :: else
               fi;
               if
               :: tail != t -> w = 0
               :: else
               fi;
               if
               :: w != 0 -> tail_seen = t
               :: else
               fi
           :: else
           fi
       :: else
       fi;
       if
       :: tail_seen == h -> tail_seen = tail
       :: else
       fi;
       if
       :: tail_seen == h && was_closed -> break
       :: tail_seen == h && !was_closed ->
           items_wanted = 1;
           if
           :: tail == h && !closed ->
               /* the kernel compares the word and sleeps in one step */
               atomic {
                   if
                   :: items_wanted == 1 -> items_asleep = true
                   :: else
                   fi
               };
               !items_asleep
           :: else
           fi
       :: else ->
           assert(slot[h % SLOTS] == n + 1);
           assert(w == 0 || w == n + 1);
           n++;
           if
           :: !talking -> talking = true; no_limit = false
           :: true
           fi;
           slot[h % SLOTS] = 0;
           head = (h + 1) % WRAP;
           if
           :: room_wanted == 1 -> atomic { room_wanted = 0; room_asleep = false }
           :: else
           fi
       fi
    od;
    assert(n == ITEMS)
}

init
{
    atomic { run producer(); run consumer() };
    _nr_pr == 1;
    assert(!no_limit)
}
