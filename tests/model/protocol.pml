/* The protocol of leases and permits, small enough to be explored in full.
 *
 *   spin -a protocol.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -E -m100000
 *   spin -a -DFAULT_SCORE protocol.pml ...   with a fault planted: an error is found
 *
 * How it maps to the code:
 *
 *   sweep       worker/sweeps, worker/outbox/leases.py: ready -> released under a new lease
 *   worker      worker/delivery: claim, permit, dot, settle, confirm, each an atomic step; it may
 *               die at each arrow
 *               claim    worker/outbox/claims.py: released -> sending, the attempt opened, the
 *                        generation read, in one commit
 *               permit   worker/throttle/lua/acquire.lua: drop what is a window old, count, add
 *               dot      worker/transports/transaction.py: not after dot_by
 *               settle   worker/outbox/settling.py: close the attempt, move the message if the
 *                        lease is still ours
 *               confirm  worker/throttle/lua/confirm.lua
 *   recover     worker/outbox/overdue.py and worker/rebuild.py
 *   redis       loses its log once
 *   clock       all clocks are one, and tick while nobody acts
 *
 * What is left out: several budgets, costs above 1, deferrals and refusals, the pace, a second
 * master (a lost log stands for it), people. The hypothesis model beside it has them.
 * Each attempt has a number of its own, which is its lease and its permit too. Times are small:
 * a window of 2 ticks, the dot by 1 tick after the claim, its answer by 1 tick after the dot, so
 * that handover_max is 2; a message is taken for unknown 3 ticks after its
 * claim, when its answer can no longer come.
 */

#ifndef LIMIT
#define LIMIT 1
#endif

#define MESSAGES 2
#define ATTEMPTS 3 /* numbered from 1; 0 is none */
#define WINDOW   2
#define DOT_BY   1
#define ANSWER   1
#define HANDOVER 2  /* DOT_BY + ANSWER */
#define DEADLINE 2
#ifndef END
#define END      5 /* of time */
#endif

#define READY    0
#define RELEASED 1
#define SENDING  2
#define SENT     3
#define UNKNOWN  4

#define NONE     0
#define OPEN     1
#define VOID     2
#define CLOSED   3
#define UNSURE   4

byte now = 1;

/* PostgreSQL */
byte state[MESSAGES], lease[MESSAGES], deadline[MESSAGES], last[MESSAGES];
bool resent;
byte attempt[ATTEMPTS + 1], closed_at[ATTEMPTS + 1];
byte generation = 1;
byte leases = 0;

/* Redis */
byte epoch = 1;
bool logged[ATTEMPTS + 1];
byte score[ATTEMPTS + 1];
bool lost = false;

/* the SMTP server's journal */
byte dot[ATTEMPTS + 1];   /* when its final dot came; 0: never */
byte whose[ATTEMPTS + 1]; /* whose mail it was */
bool refused[ATTEMPTS + 1];
bool pardoned[ATTEMPTS + 1];

byte i, used, other;

inline judge(a) {
    d_step {
    /* Never twice by our doing: an earlier dot needs an unknown and a decision. */
    /* Never over the limit: with this one, no more than LIMIT dots in the window. */
    used = 1;
    for (i : 1 .. ATTEMPTS) {
        if
        :: i != a && dot[i] != 0 ->
            assert(whose[i] != whose[a] || refused[i] || pardoned[i]);
            if
            :: dot[i] + WINDOW > now -> used++
            :: else
            fi
        :: else
        fi
    }
    assert(used <= LIMIT);
    used = 0; i = 0
    }
}

inline acquire(a, known, granted) {
    d_step {
    granted = false;
    if
#ifdef FAULT_EPOCH
    :: true ->
#else
    :: epoch == known ->
#endif
        used = 0;
        for (i : 1 .. ATTEMPTS) {
            if
            :: logged[i] && score[i] + WINDOW <= now -> logged[i] = false; score[i] = 0
            :: logged[i] && score[i] + WINDOW > now -> used++
            :: else
            fi
        }
        if
        :: used < LIMIT ->
            granted = true;
            logged[a] = true;
#ifdef FAULT_SCORE
            score[a] = now
#else
            score[a] = now + HANDOVER
#endif
        :: else
        fi
#ifndef FAULT_EPOCH
    :: else
#endif
    fi;
    used = 0; i = 0
    }
}

inline confirm(a) {
    if
    :: logged[a] -> score[a] = now
    :: else
    fi
}

inline refund(a) {
    logged[a] = false;
    score[a] = 0
}

/* Leases a message that is ready; the next process gets it. */
inline release(n) {
    d_step {
        leases < ATTEMPTS && state[n] == READY ->
        leases++;
        state[n] = RELEASED; lease[n] = leases; whose[leases] = n;
        deadline[n] = now + DEADLINE
    }
}

active proctype sweep() {
    do
    :: release(0)
    :: release(1)
    od
}

#define OURS (state[whose[a]] == SENDING && lease[whose[a]] == a)
#define UNANSWERED (attempt[a] == OPEN || attempt[a] == UNSURE || attempt[a] == NONE)

inline settle(a, at) {
    d_step {
        if
        :: UNANSWERED ->
            attempt[a] = CLOSED;
            closed_at[a] = (now < at + ANSWER -> now : at + ANSWER);
            if
#ifdef FAULT_GUARD
            :: true ->
#else
            :: OURS || (state[whose[a]] == UNKNOWN && last[whose[a]] == a) ->
#endif
                state[whose[a]] = (refused[a] -> READY : SENT);
                lease[whose[a]] = 0; deadline[whose[a]] = 0
#ifndef FAULT_GUARD
            :: else -> /* accepted after all: whoever has the mail gets no other */
                if
                :: !refused[a] && (state[whose[a]] == READY || state[whose[a]] == RELEASED
                    || state[whose[a]] == UNKNOWN) ->
                    state[whose[a]] = SENT;
                    lease[whose[a]] = 0; deadline[whose[a]] = 0
                :: else
                fi
#endif
            fi
        :: else
        fi
    }
}

/* One process for each lease, so that all of them may be under way at once. Safety is all that is
 * asked, so one that dies at an arrow is one that never goes on from there: no rule is needed.
 */
proctype worker(byte a) {
    byte known, claimed_at, dot_at;
    bool granted;
    d_step {
        leases >= a && state[whose[a]] == RELEASED && lease[whose[a]] == a ->
        state[whose[a]] = SENDING;
        deadline[whose[a]] = now + DEADLINE;
        last[whose[a]] = a;
        known = generation;
        claimed_at = now;
#ifndef FAULT_ATTEMPT
        attempt[a] = OPEN
#endif
    }
    d_step {
        acquire(a, known, granted);
#ifdef FAULT_CONFIRM
        if
        :: granted -> confirm(a)
        :: else
        fi;
#endif
        if
        :: granted && now <= claimed_at + DOT_BY
        :: else -> /* refused, or too late: as if it had not been claimed */
            refund(a);
            granted = false;
            if
            :: UNANSWERED && attempt[a] != UNSURE ->
                attempt[a] = VOID;
                if
                :: OURS -> state[whose[a]] = READY; lease[whose[a]] = 0; deadline[whose[a]] = 0
                :: else
                fi
            :: else
            fi
        fi
    }
    if
    :: !granted -> goto over
    :: else
    fi;
    d_step {
        if
        :: now <= claimed_at + DOT_BY -> dot_at = now; judge(a); dot[a] = now
        :: else -> refused[a] = true /* MAIL was sent: the permit is spent, the mail deferred */
        fi
    }
    /* The answer may come late, even after the message was taken for unknown. */
    atomic {
        if
        :: true
        :: refused[a] = true /* deferred: once more, under a new lease */
        fi;
        settle(a, dot_at)
    }
#ifdef FAULT_REFUND
    d_step { refund(a) }
#else
#ifndef FAULT_CONFIRM
    d_step { confirm(a) }
#endif
#endif
over:
    skip;
    d_step { known = 0; claimed_at = 0; dot_at = 0; granted = false }
}

init {
    atomic {
        run worker(1); run worker(2); run worker(3)
    }
}

inline overdue(n) {
    if
    :: state[n] == RELEASED && deadline[n] < now -> state[n] = READY; lease[n] = 0; deadline[n] = 0
    :: state[n] == SENDING && deadline[n] < now ->
#ifdef FAULT_UNKNOWN
        attempt[lease[n]] = VOID; state[n] = READY;
#else
        if
        :: attempt[lease[n]] == OPEN -> attempt[lease[n]] = UNSURE
        :: else
        fi;
        if
        :: n == 0 && !resent -> /* the policy of message 0: once more; that of 1: hold */
            resent = true;
            for (i : 1 .. ATTEMPTS) {
                if
                :: whose[i] == n && dot[i] != 0 -> pardoned[i] = true
                :: else
                fi
            }
            i = 0;
            state[n] = READY
        :: else -> state[n] = UNKNOWN
        fi;
#endif
        lease[n] = 0; deadline[n] = 0
    :: else
    fi
}

active proctype recover() {
    do
    :: atomic { (state[0] == RELEASED || state[0] == SENDING) && deadline[0] < now -> overdue(0) }
    :: atomic { (state[1] == RELEASED || state[1] == SENDING) && deadline[1] < now -> overdue(1) }
    :: d_step { /* the log was lost: fill it out of the attempts, and open it */
        epoch != generation ->
        generation++;
        for (i : 1 .. ATTEMPTS) {
            if
            :: attempt[i] == OPEN || attempt[i] == UNSURE ->
                logged[i] = true; score[i] = now + HANDOVER
            :: attempt[i] == CLOSED && closed_at[i] + WINDOW > now ->
                logged[i] = true;
                score[i] = (score[i] > closed_at[i] -> score[i] : closed_at[i])
            :: else
            fi
        }
        i = 0;
        epoch = generation
       }
    od
}

active proctype redis() {
    d_step {
        !lost ->
        lost = true;
        epoch = 0;
        for (i : 1 .. ATTEMPTS) { logged[i] = false; score[i] = 0 }
        i = 0
    }
}

active proctype clock() {
    do
    :: atomic { now < END -> now++ }
    od
}
