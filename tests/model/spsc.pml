/* The SPSC ring (src/ring/spsc.h), all interleavings, with the sleeping of both sides.
   Command: spin -a spsc.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000
   (spin -DCAPACITY=3: a ring that is not a power of two; tests/model.sh runs 1, 2 and 3)

   What it shows: with sequentially consistent memory no item is lost, doubled, out of order or
   read before it was written, no slot is written before it was read, there are never more than
   CAPACITY items, and nobody sleeps for ever. Positions wrap at 8 (mod 2^3), a multiple of the
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
    if
    :: items_wanted == 1 -> atomic { items_wanted = 0; items_asleep = false }
    :: else
    fi
}

proctype consumer()
{
    byte n = 0, tail_seen = 6, h;
    bool was_closed;
    do
    :: h = head;
       was_closed = closed;
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
           n++;
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

init { atomic { run producer(); run consumer() } }
