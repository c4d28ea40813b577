// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cut, Missing} from "../src/Ends.sol";
import {Leaf, Stated} from "../src/Lines.sol";
import {Mandate, Order, Reading, Trade} from "../src/Records.sol";
import {EndsBatch} from "./EndsBatch.sol";

/// Every challenge with whatever a caller may choose: true parts of the posted trees put together at random, and such
/// with something changed in them.
abstract contract HonestBatch is EndsBatch {
    uint256 internal constant CHALLENGES = 22;

    uint256 private _seed;
    /// The member about whom most of the parts of an attempt are.
    uint32 private _who;

    function draw(uint256 seed) internal {
        _seed = seed;
    }

    function any(uint256 count) internal returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return count == 0 ? 0 : _seed % count;
    }

    /// Calls of a challenge by its number.
    function attempt(uint256 challenge) internal returns (bytes memory) {
        _who = uint32(any(4));
        if (challenge < 8) return _ofLines(challenge);
        if (challenge < 16) return _ofStatements(challenge);
        return _ofOthers(challenge);
    }

    function _ofLines(uint256 i) private returns (bytes memory) {
        (Stated memory s, Leaf[] memory list) = (anyStated(), anyLeaves());
        Leaf memory leaf = list.length == 0 ? anyLeaf() : list[list.length - 1];
        Trade memory trade = anyTrade(leaf);
        if (i == 0) return abi.encodeCall(disputes.challengeTrade, (p, s, leaf, trade));
        if (i == 1) return abi.encodeCall(disputes.challengeOrder, (p, s, leaf, trade, anyOrder()));
        if (i == 2) return abi.encodeCall(disputes.challengeMandate, (p, s, leaf, trade, anyMandate()));
        if (i == 3) return abi.encodeCall(disputes.challengeOrderFill, (p, s, list, anyOrder()));
        if (i == 4) return abi.encodeCall(disputes.challengeMandateFill, (p, s, list, anyMandate()));
        if (i == 5) return abi.encodeCall(disputes.challengeSum, (p, s, list, trade));
        if (i == 6) return abi.encodeCall(disputes.challengeTotal, (p, s, list, anyHole()));
        return abi.encodeCall(disputes.challengeHole, (p, s, anyHole(), leaf));
    }

    function _ofStatements(uint256 i) private returns (bytes memory) {
        Stated memory s = anyStated();
        if (i == 8) return abi.encodeCall(disputes.challengeSequence, (p, s, anyLeaf(), anyLeaf()));
        if (i == 9) return _sequence(s);
        if (i == 10) return abi.encodeCall(disputes.challengeDelta, (p, s, anyDeltas(), finals, finalDeltas));
        if (i == 11) return _unstated();
        if (i == 12) return abi.encodeCall(disputes.challengeUnread, (p, s));
        if (i == 13) return abi.encodeCall(disputes.challengeDelivery, (p, s, anyReading()));
        if (i == 14) return abi.encodeCall(disputes.challengeDirection, (p, s, anyLeaves(), anyReading()));
        return _committed(s);
    }

    function _ofOthers(uint256 i) private returns (bytes memory) {
        if (i == 16) return _replaced(anyStated());
        if (i == 17) return _sides();
        if (i == 18) return abi.encodeCall(disputes.challengeMissing, (p, anyMissing()));
        if (i == 19) return abi.encodeCall(disputes.challengeCut, (p, anyCut()));
        if (i == 20) return _absent(anyStated());
        return abi.encodeCall(disputes.challengeTotal, (p, statedOf(_who), lastOf(_who), behindOf(_who)));
    }

    function _sequence(Stated memory s) private returns (bytes memory) {
        (Leaf memory first, Leaf memory second) = (anyLeaf(), anyLeaf());
        return abi.encodeCall(
            disputes.challengeTradeSequence, (p, s, first, second, tradeOf(first.line), tradeOf(second.line))
        );
    }

    function _unstated() private returns (bytes memory) {
        uint32 member = uint32(any(10));
        bytes32[] memory way = changed(statementSiblings(any(2) == 0 ? member : uint32(any(10))));
        return abi.encodeCall(disputes.challengeUnstated, (p, member, way, anyDeltas()));
    }

    function _committed(Stated memory s) private returns (bytes memory) {
        (Leaf memory leaf, uint256 place) = (anyLeaf(), any(4));
        bytes32 there = place < committed ? hashOf(trades[place]) : bytes32(0);
        bytes32[] memory way = changed(tradeSiblings(place));
        return abi.encodeCall(disputes.challengeCommitted, (p, s, leaf, tradeOf(leaf.line), tradesRoot, there, way));
    }

    function _replaced(Stated memory s) private returns (bytes memory) {
        uint256 place = any(4);
        bytes32[] memory way = changed(orderSiblings(place));
        return abi.encodeCall(disputes.challengeReplaced, (p, s, anyLeaf(), orders[any(4)], orders[place], place, way));
    }

    function _sides() private returns (bytes memory) {
        (Stated memory one, Leaf[] memory first) = (anyStated(), anyLeaves());
        uint256 trade = any(4);
        _who = endOf(trade, any(2) == 0);
        if (any(2) == 0) (one, first) = (statedOf(_who), stepOf(_who, trade));
        _who = endOf(trade, any(2) == 0);
        return abi.encodeCall(disputes.challengeSides, (p, one, first, statedOf(_who), stepOf(_who, trade)));
    }

    function _absent(Stated memory s) private returns (bytes memory) {
        Leaf memory leaf = anyLeaf();
        return abi.encodeCall(
            disputes.challengeAbsent, (p, s, leaf, tradeOf(leaf.line), changed(statementSiblings(uint32(any(10)))))
        );
    }

    // Parts

    function anyStated() internal returns (Stated memory s) {
        s = statedOf(any(8) == 0 ? uint32(any(4)) : _who);
        uint256 change = any(16);
        if (change == 0) s.member = uint32(any(9));
        if (change == 1) s.statement.money += 1;
        if (change == 2) s.statement.reading = 0;
        if (change == 3) s.statement.lines = 0;
        if (change == 4) s.siblings = changed(s.siblings);
    }

    function anyLeaf() internal returns (Leaf memory leaf) {
        uint32 member = any(8) == 0 || lines[_who].length == 0 ? 0 : _who;
        leaf = leafAt(member, any(lines[member].length));
        uint256 change = any(16);
        if (change == 0) leaf.position = any(5);
        if (change == 1) leaf.siblings = changed(leaf.siblings);
        if (change == 2) leaf.line.bought += 1;
        if (change == 3) (leaf.line.trade, leaf.line.order) = (0, 0);
    }

    /// Most often one, two or three side by side.
    function anyLeaves() internal returns (Leaf[] memory list) {
        uint256 count = lines[_who].length;
        if (any(4) != 0 && count != 0) {
            uint256 first = any(count);
            uint256 last = first + any(count - first);
            return any(2) == 0 ? leaves(_who, first, last) : spanOf(_who, first, last);
        }
        list = new Leaf[](any(4));
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = anyLeaf();
        }
    }

    function anyHole() internal returns (bytes32[] memory) {
        return changed(holeAt(_who, any(5)));
    }

    /// Most often the line's.
    function anyTrade(Leaf memory leaf) internal returns (Trade memory trade) {
        trade = any(4) == 0 ? trades[any(4)] : tradeOf(leaf.line);
        if (any(16) == 0) trade.price += 1;
    }

    function anyOrder() internal returns (Order memory order) {
        order = orders[any(4) == 0 ? any(4) : _who];
        if (any(16) == 0) order.wh = 0;
    }

    function anyMandate() internal returns (Mandate memory mandate) {
        mandate = mandates[any(4) == 0 ? any(4) : _who];
        if (any(16) == 0) (mandate.buyWh, mandate.sellWh) = (0, 0);
    }

    function anyReading() internal returns (Reading memory reading) {
        reading = readings[any(8) == 0 ? any(4) : _who];
        if (any(16) == 0) (reading.whIn, reading.whOut) = (0, 0);
    }

    function anyDeltas() internal returns (bytes memory given) {
        given = deltas;
        if (any(8) == 0) given[3] = bytes1(uint8(given[3]) + 1);
        if (any(8) == 0) given = "";
    }

    function anyMissing() internal returns (Missing memory m) {
        (uint256 trade, bool sells) = (any(4), any(2) == 0);
        uint32 member = endOf(trade, sells);
        bool booked = (trade >= committed || any(2) == 0) && has(endOf(trade, !sells), trade);
        m = missingAt(trade, sells, booked, any(lines[member].length + 1));
        (uint256 another, bool side) = (any(4), any(2) == 0);
        Missing memory other = missingAt(another, side, has(endOf(another, !side), another), 0);
        uint256 change = any(12);
        if (change == 0) m.around = other.around;
        if (change == 1) m.beside = other.beside;
        if (change == 2) m.own = other.own;
        if (change == 3) (m.counterpart, m.booked) = (other.counterpart, other.booked);
        if (change == 4) m.place = any(5);
        if (change == 5) m.behind = holeAt(member, any(5));
        if (change == 6) (m.around, m.beside, m.behind) = (new Leaf[](0), new Trade[](0), changed(m.behind));
        if (change == 7) m.sells = !m.sells;
        if (change == 8) (m.around, m.beside) = (leaves(member, 0, 0), new Trade[](1));
        if (change == 9 && m.beside.length != 0) m.beside[0] = trades[any(4)];
        if (change == 10) m.trade = other.trade;
    }

    /// Whether a member has a line of a trade.
    function has(uint32 member, uint256 trade) private view returns (bool found) {
        for (uint256 i = 0; i < lines[member].length; ++i) {
            if (lines[member][i].trade == hashOf(trades[trade])) found = true;
        }
    }

    /// Of a trade under orders, which most often pays for a later one.
    function anyCut() internal returns (Cut memory c) {
        (uint256 trade, uint256 later) = (any(4), any(4));
        if (endOf(later, false) != endOf(trade, false) && any(4) != 0) later = 3;
        c = cutOf(trade, later);
        uint256 change = any(8);
        Cut memory other = cutOf(any(4), any(4));
        if (change == 0) (c.seller, c.fed) = (other.seller, other.fed);
        if (change == 1) (c.buyer, c.drawn) = (other.buyer, other.drawn);
        if (change == 2) (c.later, c.paid) = (other.later, other.paid);
        if (change == 3) (c.trade, c.bought) = (other.trade, other.bought);
    }

    /// Siblings as they are, most often.
    function changed(bytes32[] memory siblings) internal returns (bytes32[] memory given) {
        uint256 change = any(10);
        uint256 count = siblings.length;
        if (change > 3) return siblings;
        if (change == 0) ++count;
        else if (count != 0 && change < 3) --count;
        given = new bytes32[](count);
        uint256 from = change == 2 ? siblings.length - count : 0;
        for (uint256 i = 0; i < count && from + i < siblings.length; ++i) {
            given[i] = siblings[from + i];
        }
        if (change == 3 && count != 0) given[any(count)] = any(2) == 0 ? bytes32(0) : siblings[any(count)];
    }
}
