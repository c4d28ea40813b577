// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cut, Missing} from "../src/Ends.sol";
import {Leaf, Stated} from "../src/Lines.sol";
import {Line, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// The slot of a `Batch`, with what shows faults between the two ends of a trade.
abstract contract EndsBatch is Batch {
    function endOf(uint256 trade, bool sells) internal view returns (uint32) {
        return sells ? trades[trade].seller : trades[trade].buyer;
    }

    /// Leaves a line out; sums and the delta follow, and what the member loses somebody else gets.
    function omit(uint32 member, uint256 trade) internal {
        uint256 place = placeOf(member, trade);
        Line[] storage own = lines[member];
        int64 before = statements[member].money;
        (uint64 wh, bool buys) = (settled[trade], trades[trade].buyer == member);
        int64 worth = int64(wh * trades[trade].price / 1000);
        for (uint256 i = place; i + 1 < own.length; ++i) {
            own[i] = own[i + 1];
            if (buys) (own[i].bought, own[i].money) = (own[i].bought - wh, own[i].money + worth);
            else (own[i].sold, own[i].money) = (own[i].sold - wh, own[i].money - worth);
        }
        own.pop();
        total(member);
        int32 lost = int32(before - statements[member].money);
        uint32 other = member == 1 ? 3 : 1;
        (changes[member], changes[other]) = (changes[member] - lost, changes[other] + lost);
    }

    /// What shows that an end of a trade has no line at a place among the lines of its member.
    /// @param booked whether the other end's line tells of the trade; else the commitment does
    function missingAt(uint256 trade, bool sells, bool booked, uint256 place) internal view returns (Missing memory m) {
        (uint32 member, uint32 other) = (endOf(trade, sells), endOf(trade, !sells));
        (m.trade, m.sells, m.own, m.place) = (trades[trade], sells, statedOf(member), place);
        if (booked) {
            (m.counterpart, m.booked) = (new Stated[](1), new Leaf[](1));
            (m.counterpart[0], m.booked[0]) = (statedOf(other), leafAt(other, placeOf(other, trade)));
        } else {
            m.committed = tradeSiblings(trade);
        }
        uint256 first = place == 0 ? 0 : place - 1;
        uint256 end = place < lines[member].length ? place + 1 : lines[member].length;
        if (end > first) m.around = leaves(member, first, end - 1);
        if (place == lines[member].length) m.behind = behindOf(member);
        m.beside = new Trade[](m.around.length);
        for (uint256 i = 0; i < m.around.length; ++i) {
            m.beside[i] = tradeOf(m.around[i].line);
        }
    }

    /// Where the line of an end would stand by the order of its consents, purchases before sales, and numbers.
    function missingOf(uint256 trade, bool sells, bool booked) internal view returns (Missing memory) {
        uint32 member = endOf(trade, sells);
        bytes32 consent = sells ? trades[trade].sellOrder : trades[trade].buyOrder;
        uint256 place = 0;
        for (; place < lines[member].length; ++place) {
            Line memory line = lines[member][place];
            if (line.order < consent) continue;
            if (line.order > consent) break;
            Trade memory its = tradeOf(line);
            bool itsSells = its.seller == member;
            if (itsSells == sells ? its.number >= trades[trade].number : itsSells) break;
        }
        return missingAt(trade, sells, booked, place);
    }

    /// The trade that a line names.
    function tradeOf(Line memory line) internal view returns (Trade memory) {
        for (uint256 i = 0; i < trades.length; ++i) {
            if (hashOf(trades[i]) == line.trade) return trades[i];
        }
        return trades[0];
    }

    /// What shows that a trade was cut though its buyer pays for a later one.
    function cutOf(uint256 trade, uint256 later) internal view returns (Cut memory c) {
        (uint32 buyer, uint32 seller) = (trades[trade].buyer, trades[trade].seller);
        (c.trade, c.later) = (trades[trade], trades[later]);
        (c.buyer, c.seller) = (statedOf(buyer), statedOf(seller));
        (c.bought, c.paid) = (stepOf(buyer, trade), stepOf(trades[later].buyer, later));
        (c.buyOrder, c.sellOrder) = (orders[buyer], orders[seller]);
        (c.drawn, c.fed) = (readings[buyer], readings[seller]);
    }
}
