// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {commitmentOf, hashOrder, hashReading, hashTrade} from "./Hashing.sol";
import {Leaf, Lines, Stated} from "./Lines.sol";
import {Proofs} from "./Proofs.sol";
import {Line, Order, Post, Reading, Trade} from "./Records.sol";

/// @notice What shows that an end of a trade has no line, though the other end has one, or the trade was committed.
struct Missing {
    Trade trade;
    /// Whether the end without a line is the seller's.
    bool sells;
    /// The other end's statement and its line of the trade, one each; none where the trade was committed.
    Stated[] counterpart;
    Leaf[] booked;
    /// Siblings of the trade's place among the committed ones; none where a line books it.
    bytes32[] committed;
    /// The statement of the end without a line, and the place where its line would stand.
    Stated own;
    uint256 place;
    /// The line before that place, unless it is place 0, and the line at it, unless there is none.
    Leaf[] around;
    /// The trade of each of these, which is only looked at where it stands under the same consent.
    Trade[] beside;
    /// Siblings of the place where no line stands there; none where the tree ends before it.
    bytes32[] behind;
}

/// @notice What shows that a trade which both meters and the buyer's money covered did not settle whole.
struct Cut {
    /// The trade, and [the line before and] the buyer's line of it.
    Trade trade;
    Stated buyer;
    Leaf[] bought;
    /// A trade of a higher number that the buyer pays for, and [the line before and] the buyer's line of it.
    Trade later;
    Leaf[] paid;
    Stated seller;
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

    /// @notice Whether members share what each register counted, import and export apart; else the net of both.
    bool public immutable byRegisters;

    /// @notice The statement or the trade is another member's.
    error OtherMember(uint32 expected, uint32 given);

    constructor(bool byRegisters_) {
        byRegisters = byRegisters_;
    }

    /// @notice The two ends of a trade settle different energy.
    /// @param oneLines [the line before and] the line of one end
    /// @param otherLines [the line before and] the line of the other end
    function challengeSides(
        Post calldata p,
        Stated calldata one,
        Leaf[] calldata oneLines,
        Stated calldata other,
        Leaf[] calldata otherLines
    ) external {
        _requireStated(p, other);
        (Line calldata line, Sums memory here) = _step(one, oneLines);
        (Line calldata opposite, Sums memory there) = _step(other, otherLines);
        require(line.trade != 0, NoFault(p.slot, p.revision, one.member));
        _requireSame(line.trade, opposite.trade);
        bool differ = here.bought - here.sold + there.bought - there.sold != 0;
        _strikeIf(differ && one.member != other.member, p, one);
    }

    /// @notice A trade of which an end has no line, though the other end has one, or it was committed before delivery.
    function challengeMissing(Post calldata p, Missing calldata m) external {
        Trade calldata trade = m.trade;
        (uint32 member, uint32 other) = m.sells ? (trade.seller, trade.buyer) : (trade.buyer, trade.seller);
        require(m.own.member == member, OtherMember(member, m.own.member));
        // Such a trade no post can book.
        require(trade.slot == p.slot && member != other, NoFault(p.slot, p.revision, member));
        if (m.booked.length == 0) {
            bytes32 root = Proofs.rootAt(hashTrade(trade), trade.number, m.committed);
            _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, root));
        } else {
            require(m.counterpart.length == 1, WrongLines(m.counterpart.length, 1));
            require(m.counterpart[0].member == other, OtherMember(other, m.counterpart[0].member));
            _requireStated(p, m.counterpart[0]);
            _tradeLine(m.counterpart[0], m.booked[0], trade);
        }
        _strikeIf(_missing(m), p, m.own);
    }

    /// @notice A trade whose other end has no statement.
    /// @param siblings of the empty place of that member's number; of the tree's last place where it ends before that
    function challengeAbsent(
        Post calldata p,
        Stated calldata s,
        Leaf calldata leaf,
        Trade calldata trade,
        bytes32[] calldata siblings
    ) external {
        _tradeLine(s, leaf, trade);
        bool buys = trade.buyer == s.member;
        require(buys || trade.seller == s.member, OtherMember(s.member, trade.seller));
        Proofs.requireNone(buys ? trade.seller : trade.buyer, siblings, p.statements);
        _strikeIf(true, p, s);
    }

    /// @notice A committed trade that settles less, though both meters counted all that the two orders ask for, and though
    /// it was not cut for want of money: that takes a member's last purchases first, so who could not pay for this one
    /// pays for none behind it.
    function challengeCut(Post calldata p, Cut calldata c) external {
        _requireStated(p, c.seller);
        (Line calldata line, Sums memory added) = _step(c.buyer, c.bought);
        _requireSame(line.trade, hashTrade(c.trade));
        bool ends = c.buyer.member == c.trade.buyer && c.seller.member == c.trade.seller;
        bool paid = _paysLater(c) && c.seller.statement.money < FULL;
        bool less = added.bought - added.sold < int256(uint256(c.trade.wh));
        _strikeIf(ends && _coversBoth(c) && paid && less, p, c.buyer);
    }

    // --------------------------------------------------------------------------------------------------------- parts

    /// @dev Whether these lines stand around the place of a trade's end, and neither is its line.
    function _missing(Missing calldata m) private pure returns (bool) {
        uint256 count = m.around.length;
        uint256 before = m.place == 0 ? 0 : 1;
        require(count == before || count == before + 1, WrongLines(count, before + 1));
        require(m.beside.length == count, WrongLines(m.beside.length, count));
        if (before == 1) {
            require(m.around[0].position == m.place - 1, NotAdjacent(m.around[0].position, m.place));
            if (!_before(_line(m.own, m.around[0]), m.beside[0], m)) return false;
        }
        if (count == before) {
            // No line stands there.
            if (before == 1) _requireLast(m.own, m.around[0], m.behind);
            else Proofs.requireAt(0, 0, m.behind, m.own.statement.lines);
            return true;
        }
        Leaf calldata leaf = m.around[before];
        require(leaf.position == m.place, NotAdjacent(m.place, leaf.position));
        Line calldata high = _line(m.own, leaf);
        return !_before(high, m.beside[before], m) && high.trade != hashTrade(m.trade);
    }

    /// @dev Whether a line stands before the place of the trade's end.
    /// @param its the line's trade
    function _before(Line calldata line, Trade calldata its, Missing calldata m) private pure returns (bool) {
        bytes32 consent = m.sells ? m.trade.sellOrder : m.trade.buyOrder;
        if (line.order != consent) return line.order < consent;
        _requireSame(line.trade, hashTrade(its));
        bool itsSells = its.seller == m.own.member;
        return itsSells == m.sells ? its.number < m.trade.number : m.sells;
    }

    /// @dev Whether the meters of both ends counted all that the two orders ask for.
    function _coversBoth(Cut calldata c) private view returns (bool) {
        _requireSame(c.buyer.statement.reading, hashReading(c.drawn));
        _requireSame(c.seller.statement.reading, hashReading(c.fed));
        _requireSame(c.trade.buyOrder, hashOrder(c.buyOrder));
        _requireSame(c.trade.sellOrder, hashOrder(c.sellOrder));
        (int256 drawn, int256 fed) = (_net(c.drawn), -_net(c.fed));
        if (byRegisters) (drawn, fed) = (int256(uint256(c.drawn.whIn)), int256(uint256(c.fed.whOut)));
        return drawn >= int256(uint256(c.buyOrder.wh)) && fed >= int256(uint256(c.sellOrder.wh));
    }

    /// @dev Whether the buyer pays for a trade of a higher number.
    function _paysLater(Cut calldata c) private pure returns (bool) {
        (Line calldata line, Sums memory added) = _step(c.buyer, c.paid);
        _requireSame(line.trade, hashTrade(c.later));
        return c.later.buyer == c.trade.buyer && c.later.number > c.trade.number && added.money < 0;
    }

    /// @dev What a meter counted [Wh], positive = into the home.
    function _net(Reading calldata reading) internal pure returns (int256) {
        return int256(uint256(reading.whIn)) - int256(uint256(reading.whOut));
    }
}
