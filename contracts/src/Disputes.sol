// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ends} from "./Ends.sol";
import {commitmentOf, hashMandate, hashOrder, hashPost, hashReading, hashTrade} from "./Hashing.sol";
import {Judge} from "./Judge.sol";
import {Leaf, Stated} from "./Lines.sol";
import {Proofs} from "./Proofs.sol";
import {Line, Mandate, Order, Post, Reading, Trade} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @title Faults of a post that a few lines of one member show
/// @notice Until a post is final anybody proves; each proof deletes the post, and half of its bond is the caller's. The
/// settlement names this contract when it is created, and this one the settlement.
///
/// Every member that was registered before the slot began has one statement, at the place of its number; behind the last
/// of them one place is empty. A statement sums up the member's lines, which are a tree of their own without holes: one
/// for each trade, by order hash, purchases before sales, number of the trade; sums run from line to line. Where no
/// reading came the statement names none, and nothing moves. What is wrong with a post therefore shows in one line, or in
/// two side by side; what is wrong between the two ends of a trade, in lines of both. No challenge shows more of a member
/// than its statement and these lines.
///
/// Where a list of lines is asked for, a line before the one at position 0 is left out: sums begin at zero.
contract Disputes is Ends {
    /// @notice The post is of another slot or revision.
    error ForeignPost(uint64 slot, uint32 revision);

    /// @param byRegisters_ whether members share what each register counted; else the net of both
    constructor(Settlement settlement_, bool byRegisters_) Judge(settlement_) Ends(byRegisters_) {}

    /// @notice A line without a trade, or whose trade is of another slot, of other members, with itself or with nobody, or
    /// under another consent.
    /// @param trade the line's; not looked at where it has none
    function challengeTrade(Post calldata p, Stated calldata s, Leaf calldata leaf, Trade calldata trade) external {
        Line calldata line = _line(s, leaf);
        if (line.trade == 0) return _strikeIf(true, p, s);
        _requireSame(line.trade, hashTrade(trade));
        bool buys = trade.buyer == s.member;
        uint32 other = buys ? trade.seller : trade.buyer;
        bool own = buys != (trade.seller == s.member) && other < community.memberCount();
        bool agreed = line.order == (buys ? trade.buyOrder : trade.sellOrder);
        _strikeIf(trade.slot != p.slot || !own || !agreed, p, s);
    }

    /// @notice A trade that breaks the order under which the line books it: its price, slot, side or member.
    function challengeOrder(
        Post calldata p,
        Stated calldata s,
        Leaf calldata leaf,
        Trade calldata trade,
        Order calldata order
    ) external {
        _requireSame(_tradeLine(s, leaf, trade).order, hashOrder(order));
        bool buys = trade.buyer == s.member;
        bool beyond = buys ? trade.price > order.limit : trade.price < order.limit;
        bool other =
            order.slot != p.slot || order.side != (buys ? 0 : 1) || !_isAccountOf(s.member, order.member, p.slot);
        _strikeIf(beyond || other, p, s);
    }

    /// @notice A trade that breaks the mandate under which the line books it: its price, time or member.
    function challengeMandate(
        Post calldata p,
        Stated calldata s,
        Leaf calldata leaf,
        Trade calldata trade,
        Mandate calldata mandate
    ) external {
        _requireSame(_tradeLine(s, leaf, trade).order, hashMandate(mandate));
        bool beyond = trade.buyer == s.member ? trade.price > mandate.maxBuy : trade.price < mandate.minSell;
        bool untimely = p.slot < mandate.validFrom || p.slot >= mandate.validUntil;
        _strikeIf(beyond || untimely || !_isAccountOf(s.member, mandate.member, p.slot), p, s);
    }

    /// @notice More energy under an order than it has.
    /// @param lines [the line before the order's first,] a first and a last line of it, which may be the same
    function challengeOrderFill(Post calldata p, Stated calldata s, Leaf[] calldata lines, Order calldata order)
        external
    {
        (bytes32 consent, Sums memory filled) = _filled(s, lines);
        _requireSame(consent, hashOrder(order));
        int256 wh = int256(uint256(order.wh));
        _strikeIf(filled.bought > wh || filled.sold > wh, p, s);
    }

    /// @notice More energy under a mandate than it allows on one side.
    /// @param lines as for an order
    function challengeMandateFill(Post calldata p, Stated calldata s, Leaf[] calldata lines, Mandate calldata mandate)
        external
    {
        (bytes32 consent, Sums memory filled) = _filled(s, lines);
        _requireSame(consent, hashMandate(mandate));
        bool beyond = filled.bought > int256(uint256(mandate.buyWh)) || filled.sold > int256(uint256(mandate.sellWh));
        _strikeIf(beyond, p, s);
    }

    /// @notice Running sums that do not follow from a trade: the other side's energy, more energy than traded or less than
    /// none, or money that is not energy times price, rounded down.
    /// @param lines [the line before and] the line of the trade
    function challengeSum(Post calldata p, Stated calldata s, Leaf[] calldata lines, Trade calldata trade) external {
        (Line calldata line, Sums memory added) = _step(s, lines);
        _requireSame(line.trade, hashTrade(trade));
        bool buys = trade.buyer == s.member;
        (int256 wh, int256 other) = buys ? (added.bought, added.sold) : (added.sold, added.bought);
        if (other != 0 || wh < 0 || wh > int256(uint256(trade.wh))) return _strikeIf(true, p, s);
        int256 worth = int256(uint256(wh) * trade.price / 1000);
        _strikeIf(added.money != (buys ? -worth : worth), p, s);
    }

    /// @notice A statement that does not say what its last line sums up to, or that says something without a line.
    /// @param last the last line; none where there is none
    /// @param behind siblings of the empty place behind it (place 0 without a line); none where the tree ends with it
    function challengeTotal(Post calldata p, Stated calldata s, Leaf[] calldata last, bytes32[] calldata behind)
        external
    {
        (uint64 bought, uint64 sold, int64 money) = (0, 0, 0);
        if (last.length == 0) {
            Proofs.requireAt(0, 0, behind, s.statement.lines);
        } else {
            require(last.length == 1, WrongLines(last.length, 1));
            Line calldata line = _line(s, last[0]);
            _requireLast(s, last[0], behind);
            (bought, sold, money) = (line.bought, line.sold, line.money);
        }
        bool agrees = s.statement.bought == bought && s.statement.sold == sold && s.statement.money == money;
        _strikeIf(!agrees, p, s);
    }

    /// @notice A line behind an empty place.
    /// @param hole siblings of the place before the line
    function challengeHole(Post calldata p, Stated calldata s, bytes32[] calldata hole, Leaf calldata leaf) external {
        uint256 place = leaf.position;
        require(place != 0, NoFault(p.slot, p.revision, s.member));
        require(hole.length == leaf.siblings.length, NotAdjacent(place - 1, place));
        _line(s, leaf);
        Proofs.requireAt(0, place - 1, hole, s.statement.lines);
        _strikeIf(true, p, s);
    }

    /// @notice What the post and the revisions before it together move for a member is not what its statement says.
    /// @param deltas as posted
    /// @param earlier all revisions before, from 0 on, which are final
    /// @param earlierDeltas as they were posted
    function challengeDelta(
        Post calldata p,
        Stated calldata s,
        bytes calldata deltas,
        Post[] calldata earlier,
        bytes[] calldata earlierDeltas
    ) external {
        require(earlier.length == p.revision, WrongLines(earlier.length, p.revision));
        require(earlierDeltas.length == earlier.length, WrongLines(earlierDeltas.length, earlier.length));
        int256 moved = _delta(p, s.member, deltas);
        for (uint256 i = 0; i < earlier.length; ++i) {
            bool before = earlier[i].slot == p.slot && earlier[i].revision == i;
            require(before, ForeignPost(earlier[i].slot, earlier[i].revision));
            _requireFinal(earlier[i]);
            moved += _delta(earlier[i], s.member, earlierDeltas[i]);
        }
        _strikeIf(moved != s.statement.money, p, s);
    }

    /// @notice A revision moves something else for a member than its statement says beyond that of the revision before. Shows
    /// what `challengeDelta` shows, where the deltas of all revisions are more than a transaction takes.
    /// @param deltas as posted
    /// @param earlier the revision before, which is final
    /// @param before the member's statement in that; none where it has none
    /// @param empty siblings of its empty place in that, where it has none
    function challengeRevision(
        Post calldata p,
        Stated calldata s,
        bytes calldata deltas,
        Post calldata earlier,
        Stated[] calldata before,
        bytes32[] calldata empty
    ) external {
        bool precedes = earlier.slot == p.slot && uint256(earlier.revision) + 1 == p.revision;
        require(precedes, ForeignPost(earlier.slot, earlier.revision));
        _requireFinal(earlier);
        int256 money = 0;
        if (before.length == 0) {
            Proofs.requireNone(s.member, empty, earlier.statements);
        } else {
            require(before.length == 1, WrongLines(before.length, 1));
            require(before[0].member == s.member, OtherMember(s.member, before[0].member));
            _requireStated(earlier, before[0]);
            money = before[0].statement.money;
        }
        _strikeIf(_delta(p, s.member, deltas) != int256(s.statement.money) - money, p, s);
    }

    /// @notice A member without a statement who was registered before the slot began, or for whom the post moves something.
    /// @param siblings of the empty place of the member's number; of the tree's last place where it ends before that
    /// @param deltas as posted
    function challengeUnstated(Post calldata p, uint32 member, bytes32[] calldata siblings, bytes calldata deltas)
        external
    {
        Proofs.requireNone(member, siblings, p.statements);
        _strikeIf(_delta(p, member, deltas) != 0 || community.registeredAt(member) < p.slot, p, member);
    }

    /// @notice Two lines side by side whose order falls.
    function challengeSequence(Post calldata p, Stated calldata s, Leaf calldata first, Leaf calldata second) external {
        (Line calldata low, Line calldata high) = _pair(s, first, second);
        _strikeIf(high.order < low.order, p, s);
    }

    /// @notice Two lines side by side under the same order whose trades stand the wrong way round, or twice.
    /// @param lower trade of the first line
    /// @param higher trade of the second
    function challengeTradeSequence(
        Post calldata p,
        Stated calldata s,
        Leaf calldata first,
        Leaf calldata second,
        Trade calldata lower,
        Trade calldata higher
    ) external {
        (Line calldata low, Line calldata high) = _pair(s, first, second);
        _requireSame(low.order, high.order);
        _requireSame(low.trade, hashTrade(lower));
        _requireSame(high.trade, hashTrade(higher));
        (bool sellsLow, bool sellsHigh) = (lower.seller == s.member, higher.seller == s.member);
        _strikeIf(sellsLow == sellsHigh ? higher.number <= lower.number : sellsLow, p, s);
    }

    /// @notice A statement that moves something though no reading of the member came.
    function challengeUnread(Post calldata p, Stated calldata s) external {
        _requireSame(0, s.statement.reading);
        _strikeIf(s.statement.bought != 0 || s.statement.sold != 0 || s.statement.money != 0, p, s);
    }

    /// @notice A trade under an order that the member replaced or cancelled before the gate closed.
    /// @param order under which the line books the trade
    /// @param later the member's order of a higher nonce for the same side of the slot
    /// @param position of that among the orders
    /// @param siblings of its place
    function challengeReplaced(
        Post calldata p,
        Stated calldata s,
        Leaf calldata leaf,
        Order calldata order,
        Order calldata later,
        uint256 position,
        bytes32[] calldata siblings
    ) external {
        _requireSame(_line(s, leaf).order, hashOrder(order));
        Proofs.requireAt(hashOrder(later), position, siblings, p.orders);
        bool same = later.member == order.member && later.slot == order.slot && later.side == order.side;
        _strikeIf(same && later.nonce > order.nonce, p, s);
    }

    /// @notice More local energy than the meter counted, or a reading of another slot or another's meter.
    /// @param reading that the statement names
    function challengeDelivery(Post calldata p, Stated calldata s, Reading calldata reading) external {
        _requireSame(s.statement.reading, hashReading(reading));
        bool foreign = reading.slot != p.slot || !_isMeterOf(s.member, reading.meter, p.slot);
        _strikeIf(foreign || !_within(s, reading), p, s);
    }

    /// @notice A home that buys while its meter feeds in, or sells while it draws: what it lacks or has left over is one
    /// of both, unless members share by registers.
    /// @param lines [the line before and] the line of the trade
    function challengeDirection(Post calldata p, Stated calldata s, Leaf[] calldata lines, Reading calldata reading)
        external
    {
        _requireSame(s.statement.reading, hashReading(reading));
        // The line itself does not matter.
        // slither-disable-next-line unused-return
        (, Sums memory added) = _step(s, lines);
        (int256 wh, int256 net) = (added.bought - added.sold, _net(reading));
        bool against = (wh > 0 && net <= 0) || (wh < 0 && net >= 0);
        _strikeIf(against && !byRegisters, p, s);
    }

    /// @notice A trade is not the one that was committed under its number before delivery.
    /// @param trades root of the committed trades
    /// @param committed struct hash of the trade that was committed under the number
    /// @param siblings of its place
    function challengeCommitted(
        Post calldata p,
        Stated calldata s,
        Leaf calldata leaf,
        Trade calldata trade,
        bytes32 trades,
        bytes32 committed,
        bytes32[] calldata siblings
    ) external {
        bytes32 booked = _tradeLine(s, leaf, trade).trade;
        _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, trades));
        Proofs.requireAt(committed, trade.number, siblings, trades);
        // Behind the committed trades there is room for others.
        _strikeIf(committed != 0 && committed != booked, p, s);
    }

    // --------------------------------------------------------------------------------------------------------- parts

    /// @dev Whether a meter counted what the statement says was bought and sold.
    function _within(Stated calldata s, Reading calldata reading) private view returns (bool) {
        (uint64 bought, uint64 sold) = (s.statement.bought, s.statement.sold);
        if (byRegisters) return bought <= reading.whIn && sold <= reading.whOut;
        int256 wh = int256(uint256(bought)) - int256(uint256(sold));
        int256 net = _net(reading);
        return net > 0 ? wh >= 0 && wh <= net : wh <= 0 && wh >= net;
    }

    /// @dev Requires that this post is final.
    function _requireFinal(Post calldata earlier) private view {
        // Time, hold and poster of a final post do not matter.
        // slither-disable-next-line unused-return
        (bytes32 posted,,, bool finalised,) = settlement.posted(earlier.slot, earlier.revision);
        bytes32 digest = _digest(hashPost(earlier));
        require(finalised && posted == digest, NotPending(earlier.slot, earlier.revision, posted, digest));
    }
}
