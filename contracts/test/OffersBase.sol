// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Offers} from "../src/Offers.sol";
import {READING_TYPEHASH, Reading} from "../src/Records.sol";
import {Base} from "./Base.sol";

/// A token that calls whoever sends or receives before it books, and may keep a fee.
contract HookToken is ERC20("Hook", "HOOK") {
    uint256 public fee;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        _tell(from);
        _tell(to);
        super._update(from, to, amount);
        if (from != address(0) && fee != 0) super._update(to, address(0), fee);
    }

    /// Whoever does not listen is not told.
    function _tell(address who) private {
        (bool told,) = who.call(abi.encodeWithSignature("called()"));
        told;
    }
}

/// A member that calls the offers again while money moves.
contract Robber {
    Offers private immutable offers;
    bytes private attack;
    uint256 public attempts;
    uint256 public successes;

    constructor(Offers offers_, IERC20 asset) {
        offers = offers_;
        if (address(asset) != address(0)) asset.approve(address(offers_), type(uint256).max);
    }

    function run(bytes calldata call, bytes calldata attack_) external payable returns (bool done) {
        attack = attack_;
        (done,) = address(offers).call{value: msg.value}(call);
    }

    function called() public {
        if (attack.length == 0) return;
        bytes memory call = attack;
        delete attack;
        attempts += 1;
        (bool done,) = address(offers).call(call);
        if (done) successes += 1;
    }

    receive() external payable {
        called();
    }
}

/// Three members with a meter each, who trade directly.
abstract contract OffersBase is Base {
    uint64 internal constant PATIENCE = 1 days;
    uint64 internal constant END = SLOT + SLOT_SECONDS;
    uint32 internal constant SELLER = 0;
    uint32 internal constant BUYER = 1;

    Offers internal offers;

    function setUp() public virtual override {
        super.setUp();
        addMembers(3);
        for (uint32 i = 0; i < 3; ++i) {
            vm.prank(operator);
            community.registerMeter(i, vm.addr(meterKey(i)));
        }
        offers = new Offers(settlement, PATIENCE);
    }

    function inAsset(IERC20 asset, uint256 laneUnit) internal {
        settlement = _settle(asset, laneUnit);
        offers = new Offers(settlement, PATIENCE);
    }

    function meterKey(uint256 member) internal pure returns (uint256) {
        return 0x4D00 + member;
    }

    function offer(uint64 wh, uint64 price) internal pure returns (Offers.Offer memory) {
        return Offers.Offer(SELLER, SLOT, wh, price, 0);
    }

    function post(Offers.Offer memory o) internal returns (Offers.Offer memory) {
        vm.prank(account(o.seller));
        offers.post(o);
        return o;
    }

    /// Gives the buyer the money and buys at any price.
    function buy(Offers.Offer memory o) internal returns (Offers.Offer memory) {
        mint(account(BUYER), offers.paymentOf(o.wh, o.price));
        vm.prank(account(BUYER));
        token.approve(address(offers), type(uint256).max);
        vm.prank(account(BUYER));
        offers.buy(o, o.price);
        return o;
    }

    function sold(uint64 wh, uint64 price) internal returns (Offers.Offer memory) {
        return buy(post(offer(wh, price)));
    }

    function reading(uint64 whOut) internal pure returns (Reading memory) {
        return Reading(vm.addr(meterKey(SELLER)), SLOT, 0, whOut, 1);
    }

    function digestOf(Reading memory r) internal view returns (bytes32) {
        bytes32 body = keccak256(abi.encode(READING_TYPEHASH, r.meter, r.slot, r.whIn, r.whOut, r.sequence));
        return digestOf(body, block.chainid, address(settlement));
    }

    function release(Offers.Offer memory o, uint64 whOut) internal {
        Reading memory r = reading(whOut);
        release(o, r, signature(meterKey(SELLER), digestOf(r)));
    }

    function release(Offers.Offer memory o, Reading memory r, bytes memory signed) internal {
        vm.prank(account(o.seller));
        offers.release(o, r, signed);
    }

    function list(Offers.Offer memory o) internal pure returns (Offers.Offer[] memory one) {
        one = new Offers.Offer[](1);
        one[0] = o;
    }

    /// What a member is paid for an offer; 0 when the contract refuses.
    function fetch(uint32 member, Offers.Offer memory o) internal returns (uint256) {
        uint256 before = token.balanceOf(account(member));
        vm.prank(account(member));
        try offers.fetch(list(o)) {
            return token.balanceOf(account(member)) - before;
        } catch {
            return 0;
        }
    }

    function deliveredOf(Offers.Offer memory o) internal view returns (uint64 delivered) {
        (,, delivered,,) = offers.sales(offers.idOf(o));
    }
}
