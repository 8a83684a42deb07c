"""What has become of every event: counts, and what they mean in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import user_key
from drq_spark.inputs.event_log import EventLog
from drq_spark.rows import one_row

_MUCH = 0.05  # share of the events that is worth a warning
_MOST_BY_ONE = 0.2  # share of the events of one user
_MUCH_BY_ONE, _TIMES_MEAN = 0.02, 20  # a lower one, where it is as many times that of a user on average
_FEW_JUDGES, _FEW_PAIRS = 30, 1000
_MANY_EVENTS = 5000  # of a user on average


@dataclass(frozen=True)
class EventAccount:
    """What has become of every event of a run.

    Attributes:
        rows: All events.
        without_user: Those without a user.
        without_position: Those without a position.
        known: Those of an item that there is.
        placed: Those of a known item with a user and a position: what sequences are made of.
        followed: Those of them that another event of the same user follows.
        tied: Those of these that another item follows at the same position: which comes first is chance.
        repeated: Those of these that it follows with the same item.
        pairs: Those of these that make a pair.
        users: Users of the placed events.
        judging_users: Users with pairs that judge: of those held out, or of all (see `Config.holds_users_out`).
        largest: Placed events of the user that has the most.
        largest_name: Who that is, where it is worth a warning.
        strangers: An item of the events and one that there is, where no event is of a known item.
    """

    rows: int
    without_user: int
    without_position: int
    known: int
    placed: int
    followed: int
    tied: int
    repeated: int
    pairs: int
    users: int
    judging_users: int
    largest: int
    largest_name: str | None = None
    strangers: tuple[str, str] | None = None

    @property
    def unknown(self) -> int:
        """Events of no item that there is."""
        return self.rows - self.known


def account_of(followed: DataFrame, log: EventLog, known: DataFrame, config: Config) -> EventAccount:
    """Count the rows of `consecutive.with_following`, by user and then all together.

    Args:
        followed: These rows.
        log: The events that they were made of.
        known: Column item_id: the items that there are.
        config: Settings of the run.
    """
    # a group-by on users, whose partial results leave nothing of a long user to one task
    flags = ("placed", "followed", "tied", "repeated")
    counts = [F.count(F.lit(1)).alias("known"), *(F.count_if(F.col(flag)).alias(flag) for flag in flags)]
    user = F.when(F.col("placed"), F.col("user_key")).alias("user_key")
    judges = F.col("held_out") if config.holds_users_out else F.lit(True)
    of_user = followed.groupBy(user).agg(*counts, F.count("next_item_id").alias("pairs"), F.max(judges).alias("judges"))
    totals = one_row(
        of_user.agg(
            *(F.sum(name).alias(name) for name in ("known", *flags, "pairs")),
            F.count("user_key").alias("users"),
            F.count_if(F.col("judges") & (F.col("pairs") > 0)).alias("judging_users"),
            F.max("placed").alias("largest"),
            F.max_by("user_key", F.struct("placed", "user_key")).alias("largest_key"),
        )
    ).asDict()
    key = totals.pop("largest_key")
    counted = {name: int(value or 0) for name, value in totals.items()}
    profile = log.profile
    account = EventAccount(
        rows=profile.rows,
        without_user=profile.without_user,
        without_position=profile.without_position,
        largest_name=None,
        strangers=None,
        **counted,
    )
    if not account.known:
        return replace(account, strangers=_strangers(log.rows, known))
    return replace(account, largest_name=_name(log.rows, key, config)) if _stands_out(account) else account


def _name(rows: DataFrame, key: int, config: Config) -> str | None:
    """The user of a key, as text."""
    mine = rows.where(user_key(config.seed) == F.lit(key)).select(F.col("user").cast("string").alias("user")).first()
    return None if mine is None else str(mine.user)


def _strangers(rows: DataFrame, known: DataFrame) -> tuple[str, str] | None:
    """An item of the events and one that there is, as text."""
    found = [df.where("item_id IS NOT NULL").select("item_id").first() for df in (rows, known)]
    first, second = (None if row is None else str(row.item_id) for row in found)
    return None if first is None or second is None else (first, second)


def _stands_out(account: EventAccount) -> bool:
    """Whether the user with the most events may be none."""
    if not account.users:
        return False
    least = min(_MOST_BY_ONE, max(_MUCH_BY_ONE, _TIMES_MEAN / account.users))
    return account.largest >= least * account.placed


def in_short(account: EventAccount) -> str:
    """All counts in a line."""
    lost = {
        "without a user": account.without_user,
        "without a position": account.without_position,
        "of unknown items": account.unknown,
        "followed by another item at the same position": account.tied,
        "followed by the same item": account.repeated,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in lost.items() if count)
    return (
        f"{account.rows:,} events{f' ({told})' if told else ''}: {account.pairs:,} pairs of {account.users:,} users, "
        f"{account.judging_users:,} of whom judge"
    )


def warnings(account: EventAccount, config: Config) -> list[str]:
    """A sentence for everything that leaves little of the events, or makes them doubtful."""
    parts = (_missing, _order, _users, _little)
    found = [sentence for part in parts for sentence in part(account, config)]
    if account.pairs:
        return found
    return [f"No pair of consecutive items is left: {why_no_pair(account, config)}.", *found]


def why_no_pair(account: EventAccount, config: Config) -> str:
    """What leaves no pair, as far as counts tell."""
    user, item, order = config.events.user, config.events.item, config.events.order
    if not account.known:
        such = (
            f", such as {account.strangers[0][:60]!r} beside {account.strangers[1][:60]!r}" if account.strangers else ""
        )
        return f"no event names an item that there is{such}; does {item!r} (events.item) hold the same ids?"
    if not account.placed:
        return f"no event of a known item has both a user ({user!r}) and a position ({order!r})"
    if not account.followed:
        return (
            f"each of the {account.users:,} users has one event; does {user!r} (events.user) name a row, an order line "
            "or a time rather than a user?"
        )
    if account.repeated == account.followed:
        return f"every event is followed by one of the same item; does {user!r} (events.user) name the item?"
    if account.tied + account.repeated == account.followed and config.events.ties == "part":
        return f"all events of a user have one position ({order!r}), and events.ties is part"
    return f"events of unknown items stand between all others, and events.unknown is {config.events.unknown}"


def _missing(account: EventAccount, config: Config) -> Iterator[str]:
    if account.unknown > _MUCH * account.rows:
        made = "they are passed over" if config.events.unknown == "bridge" else "each parts its neighbours"
        yield (
            f"{_of(account.unknown, account.rows)} events name no item that there is: {made} "
            f"(events.unknown={config.events.unknown})."
        )
    for setting, count in (("user", account.without_user), ("order", account.without_position)):
        if count > _MUCH * account.rows:
            name = getattr(config.events, setting)
            yield (
                f"{_of(count, account.rows)} events have nothing in column {name!r} (events.{setting}) and are no part "
                "of any sequence."
            )


def _order(account: EventAccount, config: Config) -> Iterator[str]:
    if account.tied > _MUCH * account.followed:
        made = "in an order by hash" if config.events.ties == "shuffle" else "no pairs"
        yield (
            f"{_of(account.tied, account.followed)} events are followed by another item at the same position "
            f"({config.events.order!r}): ties are {made} (events.ties={config.events.ties})."
        )
    if account.pairs and account.repeated > account.followed / 2:
        yield (
            f"{_of(account.repeated, account.followed)} events are followed by one of the same item, which is no pair: "
            f"does {config.events.user!r} (events.user) name a user?"
        )


def _users(account: EventAccount, config: Config) -> Iterator[str]:
    name = config.events.user
    if account.largest_name is not None:
        yield (
            f"User {account.largest_name[:60]!r} has {_of(account.largest, account.placed)} events: does {name!r} "
            "(events.user) name users, sessions or baskets?"
        )
    elif account.placed > _MANY_EVENTS * account.users:
        yield (
            f"Users have {account.placed // account.users:,} events each on average: does {name!r} (events.user) name "
            "users, sessions or baskets?"
        )


def _little(account: EventAccount, config: Config) -> Iterator[str]:
    if not account.pairs:
        return
    if account.pairs < _FEW_PAIRS:
        yield (
            f"{account.pairs:,} pairs of consecutive items are left of {account.rows:,} events: figures of behaviour "
            "are rough."
        )
    if not account.judging_users:
        yield (
            f"None of the {account.users:,} users is among the share that judges (events.holdout="
            f"{config.events.holdout:g}), so that there are no figures of behaviour: events.holdout=0 judges by the "
            "pairs that trained."
        )
    elif account.judging_users < _FEW_JUDGES:
        yield f"{account.judging_users:,} users judge behaviour: standard errors, which come from users, are rough."


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.0%})"
