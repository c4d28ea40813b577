// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ends} from "./Ends.sol";
import {commitmentOf, hashMandate, hashOrder, hashReading, hashTrade} from "./Hashing.sol";
import {Judge, Leaf} from "./Judge.sol";
import {Proofs} from "./Proofs.sol";
import {Mandate, Order, Post, Reading, Statement, Trade} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @title Faults of a post that a few of its own lines show
/// @notice Until a post is final anybody proves; each proof deletes the post, and half of its bond is the caller's. The
/// settlement names this contract when it is created, and this one the settlement.
///
/// The statements are sorted by member; within a member by order hash, purchases before sales, number of the trade. A
/// member that was registered before the slot began has at least one line, all of them name its reading, and sums run
/// from line to line. Where no reading came the lines name none, and nothing moves. A last line of the highest possible
/// member ends them. What is wrong with a post therefore shows in one line, or in two side by side; what is wrong between the two
/// ends of a trade, in lines of both.
///
/// Where a list of lines is asked for, a line before a member's first one (index 0) is left out: its sums begin at zero.
contract Disputes is Ends {
    constructor(Settlement settlement_) Judge(settlement_) {}

    /// @notice A line whose trade is of another slot, of other members or with itself, or under another consent.
    function challengeTrade(Post calldata p, Leaf calldata leaf, Trade calldata trade) external {
        Statement calldata line = _tradeLine(p, leaf, trade);
        bool buys = trade.buyer == line.member;
        bool own = buys != (trade.seller == line.member);
        bool agreed = line.order == (buys ? trade.buyOrder : trade.sellOrder);
        _strikeIf(trade.slot != p.slot || !own || !agreed, p, line.member);
    }

    /// @notice A trade that breaks the order under which the line books it: its price, slot, side or member.
    function challengeOrder(Post calldata p, Leaf calldata leaf, Trade calldata trade, Order calldata order) external {
        Statement calldata line = _tradeLine(p, leaf, trade);
        _requireSame(line.order, hashOrder(order));
        bool buys = trade.buyer == line.member;
        bool beyond = buys ? trade.price > order.limit : trade.price < order.limit;
        bool other =
            order.slot != p.slot || order.side != (buys ? 0 : 1) || !_isAccountOf(line.member, order.member, p.slot);
        _strikeIf(beyond || other, p, line.member);
    }

    /// @notice A trade that breaks the mandate under which the line books it: its price, time or member.
    function challengeMandate(Post calldata p, Leaf calldata leaf, Trade calldata trade, Mandate calldata mandate)
        external
    {
        Statement calldata line = _tradeLine(p, leaf, trade);
        _requireSame(line.order, hashMandate(mandate));
        bool beyond = trade.buyer == line.member ? trade.price > mandate.maxBuy : trade.price < mandate.minSell;
        bool untimely = p.slot < mandate.validFrom || p.slot >= mandate.validUntil;
        _strikeIf(beyond || untimely || !_isAccountOf(line.member, mandate.member, p.slot), p, line.member);
    }

    /// @notice More energy under an order than it has.
    /// @param lines [the line before the order's first,] a first and a last line of it, which may be the same
    function challengeOrderFill(Post calldata p, Leaf[] calldata lines, Order calldata order) external {
        (uint32 member, bytes32 consent, int256 wh) = _filled(p, lines);
        _requireSame(consent, hashOrder(order));
        _strikeIf(wh > int256(uint256(order.wh)) || -wh > int256(uint256(order.wh)), p, member);
    }

    /// @notice More energy under a mandate than it allows on one side.
    /// @param lines as for an order; what is bought and what is sold stand one after the other
    function challengeMandateFill(Post calldata p, Leaf[] calldata lines, Mandate calldata mandate) external {
        (uint32 member, bytes32 consent, int256 wh) = _filled(p, lines);
        _requireSame(consent, hashMandate(mandate));
        _strikeIf(wh > int256(uint256(mandate.buyWh)) || -wh > int256(uint256(mandate.sellWh)), p, member);
    }

    /// @notice Running sums that do not follow from a trade: wrong direction, more energy than traded, or money that is
    /// not energy times price, rounded down.
    /// @param lines [the line before and] the line of the trade
    function challengeSum(Post calldata p, Leaf[] calldata lines, Trade calldata trade) external {
        (Statement calldata line, int256 wh, int256 money) = _step(p, lines);
        _requireSame(line.trade, hashTrade(trade));
        int256 bought = trade.buyer == line.member ? wh : -wh;
        if (bought < 0 || bought > int256(uint256(trade.wh))) return _strikeIf(true, p, line.member);
        int256 paid = int256(uint256(bought) * trade.price / 1000);
        _strikeIf(money != (trade.buyer == line.member ? -paid : paid), p, line.member);
    }

    /// @notice A line without a trade that moves something, or is not its member's first.
    function challengeEmptyLine(Post calldata p, Leaf calldata leaf) external {
        Statement calldata line = _line(p, leaf);
        _requireSame(0, line.trade);
        bool empty = line.index == 0 && line.wh == 0 && line.money == 0 && line.order == 0;
        _strikeIf(!empty, p, line.member);
    }

    /// @notice What a first post moves for a member is not its last running sum.
    /// @param ends the member's last line and the one behind it
    /// @param deltas as posted
    function challengeDelta(Post calldata p, Leaf[] calldata ends, bytes calldata deltas) external {
        require(p.revision == 0, ForeignLine(p.slot, p.revision));
        Statement calldata last = _last(p, ends);
        _strikeIf(_delta(p, last.member, deltas) != last.money, p, last.member);
    }

    /// @notice What a revision moves for a member is not the difference between its last running sums.
    /// @param ends the member's last line and the one behind it
    /// @param deltas as posted
    /// @param earlier the revision before, which is final
    /// @param earlierEnds the same of that; where it has no line of the member, the two lines around its missing place
    function challengeRevision(
        Post calldata p,
        Leaf[] calldata ends,
        bytes calldata deltas,
        Post calldata earlier,
        Leaf[] calldata earlierEnds
    ) external {
        _requireBefore(p, earlier);
        Statement calldata last = _last(p, ends);
        (, int256 then) = _stated(earlier, earlierEnds, last.member);
        _strikeIf(_delta(p, last.member, deltas) != int256(last.money) - then, p, last.member);
    }

    /// @notice What all revisions together move for a member is not its last running sum. Shows what `challengeRevision`
    /// shows, to whoever kept nothing of the revisions before: their deltas are there for everybody to see.
    /// @param ends the member's last line and the one behind it
    /// @param deltas as posted
    /// @param earlier all revisions before, from 0 on, which are final
    /// @param earlierDeltas as they were posted
    function challengeMoves(
        Post calldata p,
        Leaf[] calldata ends,
        bytes calldata deltas,
        Post[] calldata earlier,
        bytes[] calldata earlierDeltas
    ) external {
        require(earlier.length == p.revision, WrongLines(earlier.length, p.revision));
        require(earlierDeltas.length == earlier.length, WrongLines(earlierDeltas.length, earlier.length));
        Statement calldata last = _last(p, ends);
        int256 moved = _delta(p, last.member, deltas);
        for (uint256 i = 0; i < earlier.length; ++i) {
            require(earlier[i].revision == i, ForeignLine(earlier[i].slot, earlier[i].revision));
            _requireFinal(p.slot, earlier[i]);
            moved += _delta(earlier[i], last.member, earlierDeltas[i]);
        }
        _strikeIf(moved != last.money, p, last.member);
    }

    /// @notice The post moves something for a member of which it has no line.
    /// @param ends the two lines around the member's missing place; the first line alone when it comes too late
    /// @param deltas as posted
    function challengeUnstated(Post calldata p, Leaf[] calldata ends, bytes calldata deltas, uint32 member) external {
        (bool stated,) = _stated(p, ends, member);
        require(!stated, NoFault(p.slot, p.revision, member));
        _strikeIf(_delta(p, member, deltas) != 0, p, member);
    }

    /// @notice A member passed over who was registered before the slot began, or a first line of all whose sums begin
    /// with others that nobody sees.
    /// @param ends two lines side by side with the member between them; the first line alone when it comes too late
    function challengeGap(Post calldata p, Leaf[] calldata ends) external {
        uint32 from = 0;
        Statement calldata high;
        if (ends.length == 1) {
            require(ends[0].position == 0, NotAdjacent(0, ends[0].position));
            high = _line(p, ends[0]);
            if (high.index != 0) return _strikeIf(true, p, high.member);
        } else {
            require(ends.length == 2, WrongLines(ends.length, 2));
            Statement calldata low;
            (low, high) = _pair(p, ends[0], ends[1]);
            require(low.member != SENTINEL, NoFault(p.slot, p.revision, low.member));
            from = low.member + 1;
        }
        // Numbers follow the time of registration, so the first of those between is the oldest.
        _strikeIf(from < high.member && community.registeredAt(from) < p.slot, p, from);
    }

    /// @notice Two lines side by side in an order that hides something: a member falls; a member's index does not
    /// follow, its order falls, or its reading changes; a line follows one without a trade, or starts after 0.
    function challengeSequence(Post calldata p, Leaf calldata first, Leaf calldata second) external {
        (Statement calldata low, Statement calldata high) = _pair(p, first, second);
        bool fault = high.member < low.member || high.index != 0;
        if (high.member == low.member) {
            bool follows = high.index == uint256(low.index) + 1 && low.trade != 0 && high.reading == low.reading;
            fault = !follows || high.order < low.order;
        }
        _strikeIf(fault, p, high.member);
    }

    /// @notice Two lines side by side under the same order whose trades stand the wrong way round, or twice.
    /// @param lower trade of the first line
    /// @param higher trade of the second
    function challengeTradeSequence(
        Post calldata p,
        Leaf calldata first,
        Leaf calldata second,
        Trade calldata lower,
        Trade calldata higher
    ) external {
        (Statement calldata low, Statement calldata high) = _pair(p, first, second);
        require(low.member == high.member, OtherMember(low.member, high.member));
        _requireSame(low.order, high.order);
        _requireSame(low.trade, hashTrade(lower));
        _requireSame(high.trade, hashTrade(higher));
        (bool sellsLow, bool sellsHigh) = (lower.seller == low.member, higher.seller == high.member);
        bool fault = sellsLow == sellsHigh ? higher.number <= lower.number : sellsLow;
        _strikeIf(fault, p, high.member);
    }

    /// @notice A line that moves something though no reading of the member came.
    function challengeUnread(Post calldata p, Leaf calldata leaf) external {
        Statement calldata line = _line(p, leaf);
        _requireSame(0, line.reading);
        _strikeIf(line.wh != 0 || line.money != 0, p, line.member);
    }

    /// @notice A trade under an order that the member replaced or cancelled before the gate closed.
    /// @param order under which the line books the trade
    /// @param later the member's order of a higher nonce for the same side of the slot
    /// @param position of that among the orders
    /// @param siblings of its place
    function challengeReplaced(
        Post calldata p,
        Leaf calldata leaf,
        Order calldata order,
        Order calldata later,
        uint256 position,
        bytes32[] calldata siblings
    ) external {
        Statement calldata line = _line(p, leaf);
        _requireSame(line.order, hashOrder(order));
        Proofs.requireAt(hashOrder(later), position, siblings, p.orders);
        bool same = later.member == order.member && later.slot == order.slot && later.side == order.side;
        _strikeIf(same && later.nonce > order.nonce, p, line.member);
    }

    /// @notice More local energy than the meter counted, or a reading of another slot or another's meter.
    /// @param ends the member's last line and the one behind it
    function challengeDelivery(Post calldata p, Leaf[] calldata ends, Reading calldata reading) external {
        Statement calldata last = _last(p, ends);
        _requireSame(last.reading, hashReading(reading));
        int256 net = _net(reading);
        bool within = net > 0 ? last.wh >= 0 && last.wh <= net : last.wh <= 0 && last.wh >= net;
        _strikeIf(!within || reading.slot != p.slot || !_isMeterOf(last.member, reading.meter, p.slot), p, last.member);
    }

    /// @notice A home that buys while its meter feeds in, or sells while it draws: what it lacks or has left over is one
    /// of both.
    /// @param lines [the line before and] the line of the trade
    function challengeDirection(Post calldata p, Leaf[] calldata lines, Reading calldata reading) external {
        (Statement calldata line, int256 wh,) = _step(p, lines);
        _requireSame(line.reading, hashReading(reading));
        int256 net = _net(reading);
        _strikeIf((wh > 0 && net <= 0) || (wh < 0 && net >= 0), p, line.member);
    }

    /// @notice The readings hold another reading of the member than its line names.
    /// @param reading struct hash of what stands there; zero = nothing
    /// @param siblings of the place of the member's number in the readings
    function challengeReading(Post calldata p, Leaf calldata leaf, bytes32 reading, bytes32[] calldata siblings)
        external
    {
        Statement calldata line = _line(p, leaf);
        Proofs.requireAt(reading, line.member, siblings, p.readings);
        _strikeIf(reading != line.reading, p, line.member);
    }

    /// @notice A trade is not the one that was committed under its number before delivery.
    /// @param trades root of the committed trades
    /// @param committed struct hash of the trade that was committed under the number
    /// @param siblings of its place
    function challengeCommitted(
        Post calldata p,
        Leaf calldata leaf,
        Trade calldata trade,
        bytes32 trades,
        bytes32 committed,
        bytes32[] calldata siblings
    ) external {
        Statement calldata line = _tradeLine(p, leaf, trade);
        _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, trades));
        Proofs.requireAt(committed, trade.number, siblings, trades);
        // Behind the committed trades there is room for others.
        _strikeIf(committed != 0 && committed != line.trade, p, line.member);
    }
}
