// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {commitmentOf, hashOrder, hashReading, hashTrade} from "./Hashing.sol";
import {Leaf} from "./Judge.sol";
import {Lines} from "./Lines.sol";
import {Proofs} from "./Proofs.sol";
import {Order, Post, Reading, Statement, Trade} from "./Records.sol";

/// @notice What shows that a trade which both meters and the buyer's money covered did not settle whole.
struct Cut {
    /// The trade, and [the line before and] the buyer's line of it.
    Trade trade;
    Leaf[] bought;
    /// A trade of a higher number that the buyer pays for, and [the line before and] the buyer's line of it.
    Trade later;
    Leaf[] paid;
    /// The seller's last line and the one behind it.
    Leaf[] ends;
    /// Under which the trade stands.
    Order buyOrder;
    Order sellOrder;
    /// The buyer's and the seller's.
    Reading drawn;
    Reading fed;
}

/// @title Faults that show where the two ends of a trade are seen together
abstract contract Ends is Lines {
    /// @dev Who was cut because a balance moves by 2^31 - 1 lane units at most keeps more than this: the highest price of
    /// an order is 10^12 lane units per kWh, and a cut takes less than a Wh and a unit more than it has to.
    int256 private constant FULL = 2 ** 30;

    /// @notice The two ends of a trade settle different energy.
    /// @param one [the line before and] the line of one end
    /// @param other [the line before and] the line of the other end
    function challengeSides(Post calldata p, Leaf[] calldata one, Leaf[] calldata other) external {
        (Statement calldata line, int256 wh,) = _step(p, one);
        (Statement calldata opposite, int256 whThere,) = _step(p, other);
        require(line.trade != 0, NoFault(p.slot, p.revision, line.member));
        _requireSame(line.trade, opposite.trade);
        _strikeIf(wh + whThere != 0 && line.member != opposite.member, p, line.member);
    }

    /// @notice A trade of which an end has no line, though the other end has one, or it was committed before delivery.
    /// @param sells whether the end without a line is the seller's
    /// @param booked the line of the other end; none where the trade was committed
    /// @param committed siblings of its place among the committed trades; none where a line books it
    /// @param around two lines side by side, the one before and the one behind the place where the line is missing; the
    /// first line of all alone when it is the one behind
    /// @param beside the trade of each of these, which is only looked at where it stands under the same consent
    function challengeMissing(
        Post calldata p,
        Trade calldata trade,
        bool sells,
        Leaf[] calldata booked,
        bytes32[] calldata committed,
        Leaf[] calldata around,
        Trade[] calldata beside
    ) external {
        uint32 member = sells ? trade.seller : trade.buyer;
        // Such a trade no post can book.
        require(trade.slot == p.slot && trade.buyer != trade.seller, NoFault(p.slot, p.revision, member));
        if (booked.length == 0) {
            bytes32 root = Proofs.rootAt(hashTrade(trade), trade.number, committed);
            _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, root));
        } else {
            uint32 other = _tradeLine(p, booked[0], trade).member;
            require(other == (sells ? trade.buyer : trade.seller), OtherMember(member, other));
        }
        _strikeIf(_missing(p, trade, sells, around, beside), p, member);
    }

    /// @notice A committed trade that settles less, though both meters counted all that the two orders ask for, and though
    /// it was not cut for want of money: that takes a member's last purchases first, so who could not pay for this one
    /// pays for none of a higher number. Nor was it cut because the seller's balance cannot move by so much.
    function challengeCut(Post calldata p, Cut calldata cut) external {
        Trade calldata trade = cut.trade;
        (Statement calldata line, int256 wh,) = _step(p, cut.bought);
        _requireSame(line.trade, hashTrade(trade));
        _requireSame(line.reading, hashReading(cut.drawn));
        _requireSame(trade.buyOrder, hashOrder(cut.buyOrder));
        _requireSame(trade.sellOrder, hashOrder(cut.sellOrder));
        Statement calldata last = _last(p, cut.ends);
        _requireSame(last.reading, hashReading(cut.fed));

        bool whole = line.member == trade.buyer && last.member == trade.seller
            && _net(cut.drawn) >= int256(uint256(cut.buyOrder.wh))
            && -_net(cut.fed) >= int256(uint256(cut.sellOrder.wh));
        bool paid = _paysLater(p, cut) && last.money < FULL;
        _strikeIf(whole && paid && wh < int256(uint256(trade.wh)), p, line.member);
    }

    // --------------------------------------------------------------------------------------------------------- parts

    /// @dev Whether these lines stand around the place of a trade's end, and neither is its line.
    function _missing(
        Post calldata p,
        Trade calldata trade,
        bool sells,
        Leaf[] calldata around,
        Trade[] calldata beside
    ) private pure returns (bool) {
        require(beside.length == around.length, WrongLines(beside.length, around.length));
        Statement calldata high;
        if (around.length == 1) {
            require(around[0].position == 0, NotAdjacent(0, around[0].position));
            high = _line(p, around[0]);
        } else {
            require(around.length == 2, WrongLines(around.length, 2));
            Statement calldata low;
            (low, high) = _pair(p, around[0], around[1]);
            if (!_before(low, beside[0], trade, sells)) return false;
        }
        return !_before(high, beside[around.length - 1], trade, sells) && high.trade != hashTrade(trade);
    }

    /// @dev Whether a line stands before the place of a trade's end.
    /// @param its the line's trade
    function _before(Statement calldata line, Trade calldata its, Trade calldata trade, bool sells)
        private
        pure
        returns (bool)
    {
        (uint32 member, bytes32 consent) = sells ? (trade.seller, trade.sellOrder) : (trade.buyer, trade.buyOrder);
        // What ends the statements is nobody's line, also where a trade names that number.
        if (line.member != member || member == SENTINEL) return line.member < member;
        // A member's line without a trade stands before those with one.
        if (line.trade == 0 || line.order != consent) return line.trade == 0 || line.order < consent;
        _requireSame(line.trade, hashTrade(its));
        bool itsSells = its.seller == member;
        return itsSells == sells ? its.number < trade.number : sells;
    }

    /// @dev Whether the buyer pays for a trade of a higher number.
    function _paysLater(Post calldata p, Cut calldata cut) private pure returns (bool) {
        (Statement calldata line,, int256 money) = _step(p, cut.paid);
        _requireSame(line.trade, hashTrade(cut.later));
        uint32 buyer = cut.trade.buyer;
        return line.member == buyer && cut.later.buyer == buyer && cut.later.number > cut.trade.number && money < 0;
    }

    /// @dev What a meter counted [Wh], positive = into the home.
    function _net(Reading calldata reading) internal pure returns (int256) {
        return int256(uint256(reading.whIn)) - int256(uint256(reading.whOut));
    }
}
